"""A Kubernetes with real pods, and images for it."""

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import yaml
from kubernetes import client, config

from tests.cluster import cluster as clusters
from tests.cluster.cluster import Cluster
from tests.cluster.images import docker as dockers
from tests.cluster.images.docker import Docker
from tests.cluster.pods import job
from tests.cluster.requirements import CannotRun
from tools.project import LOCAL, cache

T = TypeVar("T")


@contextmanager
def possible(what: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    """Skip, with the reason, on a machine that cannot; CI is one that can."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(what())
        except CannotRun as reason:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(reason))
        yield opened


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster: one of `TEST_KUBECONFIG`, or one that is started for these tests."""
    with possible(clusters.started) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def api(cluster) -> client.ApiClient:
    """The official client, allowed everything."""
    return config.new_client_from_config(str(cluster.kubeconfig))


@pytest.fixture
def namespace(cluster) -> Iterator[str]:
    """An empty namespace with the strictest rules for pods; afterwards it goes, with all in it."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def apply(cluster, namespace) -> Callable[..., None]:
    """Create objects in the namespace of the test."""

    def create(*objects: dict) -> None:
        text = yaml.safe_dump_all(objects)
        cluster.kubectl("--namespace", namespace, "apply", "--filename=-", stdin=text)

    return create


@pytest.fixture
def printed(cluster, namespace, apply) -> Callable[..., str]:
    """Run a Job of one pod to its end and return what it printed."""

    def run(spec: dict, **labels: str) -> str:
        apply(job(spec, labels))
        wait = ["wait", "--for=condition=Complete", "job/job", "--timeout=120s"]
        cluster.kubectl("--namespace", namespace, *wait)
        return str(cluster.kubectl("--namespace", namespace, "logs", "job/job", "-c", "main"))

    return run


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the nodes of one test leave their images; none are there, as the first time."""
    LOCAL.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=LOCAL) as folder:
        own = Path(folder) / "mlflow-platform"
        (own / "images").mkdir(parents=True)
        for each in cache().iterdir():
            if each.name != "images":
                (own / each.name).symlink_to(each)
        monkeypatch.setenv("XDG_CACHE_HOME", folder)
        yield own / "images"


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """Docker's client with a daemon, a registry that the cluster pulls from, and a base image."""
    with possible(dockers.started) as docker:
        yield docker


@pytest.fixture(scope="session")
def registry(docker) -> str:
    """Its address, as the first part of an image's name."""
    return str(docker.registry)


@pytest.fixture(scope="session")
def base_image(docker) -> str | None:
    """What to build on; nothing where the Dockerfiles' own base can be pulled."""
    return docker.base


@pytest.fixture(scope="session")
def tracking_image(docker) -> str:
    """The server's real image, by digest."""
    return str(docker.image("mlflow-tracking", "server"))


@pytest.fixture(scope="session")
def training_image(docker) -> str:
    """The real image of training for CPUs, by digest."""
    requirements = "requirements.txt"
    return str(docker.image("mlflow-training", "training", REQUIREMENTS=requirements))
