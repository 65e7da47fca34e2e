"""How a program of this project meets the real cluster."""

from tests.engine.cloud import StandInCloud

from .provider import ClusterProvider


def cloud_on(kubernetes: ClusterProvider) -> StandInCloud:
    """The stand-in cloud, except that its Kubernetes is a real one.

    Its `environment`, once entered, is what the Pulumi CLI needs to see both.
    """
    cloud = StandInCloud()
    cloud.providers["kubernetes"] = kubernetes
    return cloud
