"""A stack of the platform, up, for all who look at it."""

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.images import store
from tests.cluster.images.docker import Docker

from . import stack as stacks
from .stack import Stack


@pytest.fixture(scope="session")
def stack(
    cluster: Cluster, docker: Docker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """`platform: kubernetes`, up, with two servers. Whoever breaks it brings it up again."""
    with stacks.made(cluster, docker, tmp_path_factory.mktemp("stack")) as stack:
        with store.building("mlflow-tracking"):
            stack.up()
        yield stack
