"""The pods of the GKE platform, as the program renders them for `dev`, on a real cluster."""

from collections.abc import Iterator

import pytest

from .cluster import Cluster
from .gke.deployed import Deployed, deployed
from .images.docker import Docker


@pytest.fixture(scope="module")
def dev(
    cluster: Cluster, docker: Docker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    if cluster.host is None:
        pytest.skip("pods of a cluster that was given do not reach what listens here")
    with deployed(cluster, docker, tmp_path_factory.mktemp("gke")) as dev:
        yield dev


def test_it_is_up(dev):
    print(dev.cluster.kubectl("get", "all", "-A"))
    import time, os
    if os.environ.get("HOLD"):
        while os.path.exists("/tmp/gkepod-hold"): time.sleep(1)
