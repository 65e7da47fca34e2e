"""The Cloud SQL Auth Proxy with the pod's own flags, between a server and its database."""

import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests
from psycopg2 import errors
from sqlalchemy import URL

from components.sql_proxy import sql_proxy
from server.migration_contract import OWNER_URL, RUNTIME_ROLE
from tests import preloaded
from tests.local.eventually import eventually
from tools.project import ROOT

from .cloud_sql import CloudSql
from .cloud_sql.accounts import role
from .cloud_sql.additions import added, arguments, variables
from .cloud_sql.proxy import Proxy

CONNECTION = "acme-ml-123456:europe-west4:mlflow-dev-1a2b"
SERVER = "mlflow-dev-server@acme-ml-123456.iam.gserviceaccount.com"
MIGRATION = "mlflow-dev-migration@acme-ml-123456.iam.gserviceaccount.com"
OTHER = "somebody-else@acme-ml-123456.iam.gserviceaccount.com"
OWNER, PASSWORD = "mlflow_owner", "correct horse battery staple"
DATABASE = "mlflow"

StartProxy = Callable[..., "LocalProxy"]


def lonely_address() -> str:
    """An address of this machine's where nobody else listens on port 3307, if it has such."""
    if sys.platform != "linux":
        return "127.0.0.1"
    return ".".join(["127", *(str(random.randint(1, 254)) for _ in range(3))])  # noqa: S311


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LocalProxy(Proxy):
    """The sidecar's process outside of a pod, where ports and addresses are others' too."""

    def __init__(self, cloud: CloudSql, email: str, log: Path, *, iam_login: bool) -> None:
        self.port, self.health_port = free_port(), free_port()
        flags = sql_proxy(CONNECTION, iam_login=iam_login)["args"]
        here = [
            f"--port={self.port}",
            f"--http-port={self.health_port}",
            "--http-address=127.0.0.1",
        ]
        super().__init__([*arguments(cloud), *flags, *here], variables(cloud, email), log)

    def start(self) -> None:
        super().start()
        eventually(lambda: self.answers("startup"))

    def answers(self, page: str) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.health_port}/{page}", timeout=5).ok
        except requests.ConnectionError:
            return False

    def login(self, user: str, password: str = "") -> Any:
        return psycopg2.connect(
            host="127.0.0.1", port=self.port, dbname=DATABASE, user=user, password=password
        )


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudSql]:
    folder = tmp_path_factory.mktemp("cloud-sql")
    clients = {SERVER, MIGRATION}
    with CloudSql(CONNECTION, folder, clients, lonely_address()) as cloud:
        cloud.postgres.create_database(DATABASE)
        cloud.postgres.create_user(OWNER, PASSWORD)
        for email in (SERVER, OTHER):
            cloud.postgres.create_account(role(email))
        yield cloud


@pytest.fixture(scope="module")
def proxy(cloud: CloudSql, tmp_path_factory: pytest.TempPathFactory) -> StartProxy:
    """A proxy with exactly the pod's flags, and what the tests add to every pod."""
    folder = tmp_path_factory.mktemp("proxy")
    return lambda email, **options: LocalProxy(cloud, email, folder / f"{email}.log", **options)


@pytest.fixture
def server(proxy: StartProxy) -> Iterator[LocalProxy]:
    """The sidecar of the server's pod."""
    with proxy(SERVER, iam_login=True) as sidecar:
        yield sidecar


@pytest.fixture(scope="module")
def migrated(proxy: StartProxy) -> None:
    """The schema, made as the Job makes it: as its owner, through a proxy without IAM login."""
    with proxy(MIGRATION, iam_login=False) as sidecar:
        url = URL.create(
            "postgresql+psycopg2", OWNER, PASSWORD, "127.0.0.1", sidecar.port, DATABASE
        )
        variables = {
            OWNER_URL: url.render_as_string(hide_password=False),
            RUNTIME_ROLE: role(SERVER),
        }
        command = [preloaded.python(), "-m", "server.migration"]
        subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=True)


def test_the_kubelet_finds_it_started_and_alive(server):
    assert server.answers("startup")
    assert server.answers("liveness")


def test_the_server_logs_in_without_a_password(server):
    with closing(server.login(role(SERVER))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_user")

        assert cursor.fetchone() == (role(SERVER),)


def test_the_server_cannot_log_in_as_another_account(server):
    with pytest.raises(psycopg2.OperationalError, match="IAM service account authentication"):
        server.login(role(OTHER))


@pytest.mark.parametrize("password", ["", "a guess"])
def test_the_owner_of_the_schema_still_needs_a_password(server, password):
    with pytest.raises(psycopg2.OperationalError, match="password"):
        server.login(OWNER, password)

    server.login(OWNER, PASSWORD).close()


def test_a_pod_that_does_not_ask_for_it_cannot_log_in_without_a_password(proxy):
    with proxy(SERVER, iam_login=False) as sidecar:  # noqa: SIM117
        with pytest.raises(psycopg2.OperationalError, match="IAM service account authentication"):
            sidecar.login(role(SERVER))


def test_an_account_without_a_right_on_the_instance_does_not_reach_the_database(proxy):
    with proxy(OTHER, iam_login=True) as stranger:
        with pytest.raises(psycopg2.OperationalError):
            stranger.login(role(OTHER))

        assert "cloudsql.instances.connect" in stranger.log


@pytest.mark.usefixtures("migrated")
def test_the_server_reads_and_writes_rows(server):
    with closing(server.login(role(SERVER))) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO experiments (name, workspace) VALUES ('flights', 'default')")
        cursor.execute("SELECT count(*) FROM experiments")

        assert cursor.fetchone()[0] >= 1


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "CREATE INDEX mine ON experiments (name)",
        "ALTER TABLE experiments ADD COLUMN mine int",
        "DROP TABLE experiments",
        "TRUNCATE experiments",
        "UPDATE alembic_version SET version_num = 'mine'",
        f'GRANT {OWNER} TO "{role(SERVER)}"',
    ],
)
def test_the_server_cannot_change_the_schema(server, statement):
    refusal = pytest.raises((errors.InsufficientPrivilege, errors.InvalidGrantOperation))
    with closing(server.login(role(SERVER))) as connection, connection.cursor() as cursor, refusal:
        cursor.execute(statement)


def test_a_proxy_that_dies_is_connected_again_after_its_restart(server):
    before = server.login(role(SERVER))

    server.kill()
    with pytest.raises(psycopg2.OperationalError), before.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert not server.answers("liveness")

    server.start()
    server.login(role(SERVER)).close()


def test_the_same_proxy_reaches_the_database_again_when_that_comes_back(cloud, server):
    with cloud.front.unreachable(), pytest.raises(psycopg2.OperationalError):
        server.login(role(SERVER))

    assert server.answers("liveness"), "a restart of the proxy would not have helped"
    server.login(role(SERVER)).close()


def test_the_pod_in_the_tests_is_the_programs_own_and_what_is_listed(cloud):
    pod = {"initContainers": [sql_proxy(CONNECTION, iam_login=True)], "containers": []}

    changed = added(pod, cloud, SERVER)

    (before,), (after,) = pod["initContainers"], changed["initContainers"]
    assert {key for key in after if after[key] != before.get(key)} == {"args", "env"}
    assert after["args"][-len(before["args"]) :] == before["args"]
    assert before == sql_proxy(CONNECTION, iam_login=True)


def test_it_stops_without_an_error_when_the_pod_does(server):
    assert server.stop() == 0


def test_it_is_the_version_that_the_pods_get():
    image = sql_proxy(CONNECTION, iam_login=True)["image"].rpartition(":")[2]
    module = (Path(__file__).parent / "cloud_sql" / "go.mod").read_text()

    assert f"github.com/GoogleCloudPlatform/cloud-sql-proxy/v2 v{image}" in module
