"""MLflow's own login, as a server of ours serves it: for replicas, with few rights, and fast."""
