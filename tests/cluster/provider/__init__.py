"""A stand-in for the Kubernetes provider's plugin, in front of a real API server."""

from .attached import cloud_on
from .provider import ClusterProvider

__all__ = ["ClusterProvider", "cloud_on"]
