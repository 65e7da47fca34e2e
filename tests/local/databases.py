"""Equal databases on one real Postgres that is there for a moment."""

import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from components.local.account import account
from components.local.postgres import PostgresService
from components.local.postgres_files import OWNER, PostgresFiles, program
from components.local.process import Process

from .stack import free_ports

CONNECTIONS = 60
ARTIFACTS = "mlflow-artifacts:/"


@contextmanager
def equal_databases(
    names: Sequence[str], *, durable: bool = True, content: str = "SELECT 1"
) -> Iterator[list[str]]:
    """URLs of databases with MLflow's schema, and what a statement puts into it."""
    folder = Path(tempfile.mkdtemp(prefix="mlflow-platform-"))
    process = Process("Postgres", folder)
    files = PostgresFiles(folder / "files", account())
    process.new_log()
    files.create()
    (port,) = free_ports(1)
    # In this Postgres the owner may make more databases, log in to them, and win a deadlock.
    alone = [program("postgres"), "--single", "-D", str(files.data), "postgres"]
    grants = f"GRANT SET ON PARAMETER deadlock_timeout TO {OWNER}\n"
    files._run(alone, f"ALTER ROLE {OWNER} CREATEDB\n{grants}")
    with (files.data / "pg_hba.conf").open("a") as logins:
        logins.write(f"host all {OWNER} 127.0.0.1/32 scram-sha-256\n")
    if not durable:
        with (files.data / "postgresql.conf").open("a") as settings:
            settings.write("fsync = off\n")
    try:
        PostgresService().start(process, {"port": port, "connections": CONNECTIONS})
        password = files.password_file(OWNER).read_text().strip().rpartition(":")[2]
        server = f"postgresql+psycopg2://{OWNER}:{password}@127.0.0.1:{port}"
        SqlAlchemyStore(f"{server}/mlflow", ARTIFACTS)._dispose_engine()
        _run(f"{server}/mlflow", content)
        for name in names:
            _run(f"{server}/postgres", f"CREATE DATABASE {name} TEMPLATE mlflow")
        yield [f"{server}/{name}" for name in names]
    finally:
        process.stop(signal.SIGINT)
        shutil.rmtree(folder)


def _run(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url.replace("+psycopg2", ""))) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)
