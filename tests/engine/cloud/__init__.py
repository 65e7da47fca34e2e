"""A stand-in for Google Cloud, Kubernetes and the random provider, behind the provider protocol."""

from .server import StandInCloud

__all__ = ["StandInCloud"]
