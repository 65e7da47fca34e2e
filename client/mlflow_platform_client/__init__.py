"""What a data scientist installs to work with a stack of mlflow-platform."""
