"""The Cloud SQL Auth Proxy as the native sidecar of real pods."""

import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psutil
import psycopg2
import pytest

from components.sql_proxy import IMAGE, sql_proxy
from server.pod import CONTAINER_SECURITY, HARDENED
from tests.local.eventually import eventually

from .cloud_sql import CloudSql, image
from .cloud_sql.accounts import role
from .cloud_sql.additions import added
from .cluster import Cluster
from .engine import Engine
from .images.docker import Docker
from .provider import ClusterProvider
from .provider.manifest import Manifest

CONNECTION = "acme-ml-123456:europe-west4:mlflow-dev-1a2b"
SERVER = "mlflow-dev-server@acme-ml-123456.iam.gserviceaccount.com"
DATABASE = "mlflow"


@pytest.fixture(scope="module")
def cloud(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudSql]:
    """An instance at the address where pods reach this machine."""
    if cluster.host is None:
        pytest.skip("pods of a cluster that was given do not reach what listens here")
    folder = tmp_path_factory.mktemp("cloud-sql")
    with CloudSql(CONNECTION, folder, {SERVER}, cluster.host) as cloud:
        cloud.postgres.create_database(DATABASE)
        cloud.postgres.create_account(role(SERVER))
        yield cloud


@pytest.fixture(scope="module", autouse=True)
def _proxy_image(docker: Docker) -> None:
    """Under the name that the pods know."""
    image.push(docker, IMAGE)


@pytest.fixture(scope="module")
def engine(cluster: Cluster) -> Engine:
    return Engine(ClusterProvider(), str(cluster.kubeconfig))


def pod(cloud: CloudSql, script: str) -> dict[str, Any]:
    """A pod with the sidecar of the server's, and what the tests add to it."""
    main = {
        "name": "main",
        "image": "busybox",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "securityContext": CONTAINER_SECURITY,
    }
    sidecar = sql_proxy(CONNECTION, iam_login=True)
    return added({**HARDENED, "initContainers": [sidecar], "containers": [main]}, cloud, SERVER)


@pytest.fixture
def server(cloud: CloudSql, engine: Engine, namespace: str) -> Iterator[Manifest]:
    """A running pod."""
    labels = {"app": secrets.token_hex(4)}
    spec = {
        **pod(cloud, "trap 'exit 0' TERM; sleep 1000 & wait"),
        "terminationGracePeriodSeconds": 5,
    }
    made = engine.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"namespace": namespace},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }
    )
    yield made.outputs
    engine.delete(made)


@contextmanager
def database(cluster: Cluster, workload: Manifest) -> Iterator[Callable[[], Any]]:
    """Log in as a container of the pod would, to the address that only the pod has."""
    place, name = (workload["metadata"][key] for key in ("namespace", "name"))
    command = [cluster.program, f"--kubeconfig={cluster.kubeconfig}", f"--namespace={place}"]
    tunnel = [*command, "port-forward", f"deployment/{name}", ":5432"]
    with subprocess.Popen(tunnel, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            port = process.stdout.readline().split(":")[1].split()[0]
            yield lambda: psycopg2.connect(
                host="127.0.0.1", port=port, dbname=DATABASE, user=role(SERVER)
            )
        finally:
            process.terminate()


def test_the_pod_logs_in_without_a_password(cluster, server):
    with (
        database(cluster, server) as login,
        closing(login()) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT current_user")

        assert cursor.fetchone() == (role(SERVER),)


def test_a_proxy_that_dies_is_started_again_and_the_pod_goes_on(cluster, cloud, server):
    (process,) = [
        each
        for each in psutil.process_iter(["name", "cmdline"])
        if each.info["name"] == "cloud-sql-proxy"
        and f"--sqladmin-api-endpoint={cloud.api.url}" in each.info["cmdline"]
    ]
    process.kill()

    def restarted() -> bool:
        path = "{.items[0].status.initContainerStatuses[0]['restartCount','ready']}"
        place = f"--namespace={server['metadata']['namespace']}"
        return cluster.kubectl("get", "pods", place, f"--output=jsonpath={path}") == "1 true"

    eventually(restarted)
    with database(cluster, server) as login:
        login().close()


def test_a_job_ends_though_its_sidecar_does_not(cloud, engine, namespace):
    made = engine.create(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"namespace": namespace},
            "spec": {"template": {"spec": {**pod(cloud, "true"), "restartPolicy": "Never"}}},
        }
    )

    assert made.outputs["status"]["succeeded"] == 1
