"""The object store's program, for the tests that run it."""
