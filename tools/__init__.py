"""What stands behind the Makefile: environment, Pulumi CLI, local backend, demo."""
