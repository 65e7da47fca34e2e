"""Real pods: the program's Kubernetes objects on a real cluster."""
