"""Kubernetes objects, and the provider's own rules about them."""

from .provider import Kubernetes

__all__ = ["Kubernetes"]
