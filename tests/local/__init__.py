"""The local platform for real: engine, processes, client and browser."""
