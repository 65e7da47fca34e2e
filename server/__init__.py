"""What runs: the MLflow server's command, environment, size and schema migration."""
