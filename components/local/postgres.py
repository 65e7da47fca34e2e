"""Postgres: the runs, parameters, metrics and registered models."""

import signal
from dataclasses import dataclass
from typing import Any

import psycopg2
from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import Resource

from .account import account, run_as
from .loopback import HOST
from .postgres_files import ENVIRONMENT, OWNER, RUNTIME, PostgresFiles, program
from .process import NotReady, Process
from .service import Properties, Service

START_SECONDS = 60

RESERVED = 3
"""Postgres keeps this many of its connections for its superuser."""

SETTINGS = {
    "listen_addresses": HOST,
    # No socket beside the port: a path in a deep folder is longer than a socket's may be.
    "unix_socket_directories": "",
    # Sized for a laptop. What makes a commit durable stays on.
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "min_wal_size": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",  # no worker processes for reading
    "autovacuum_max_workers": "1",
    "max_parallel_workers": "0",
    "jit": "off",
    "log_checkpoints": "off",
}


@dataclass(frozen=True, kw_only=True)
class PostgresArgs:
    """What a Postgres needs."""

    folder: Input[str]
    """Data, passwords and log."""
    port: Input[int]
    connections: Input[int]
    """How many connections the server and the migration may have together."""
    keep: Input[bool]
    """Whether the folder outlives the resource."""


class Postgres(Resource, module="local", name="Postgres"):
    """One database, owned by one role and used by another, as on Cloud SQL.

    Other users of this machine can reach the port but not log in: the passwords are random and lie
    in files that only their owner reads. The URLs name those files, so they are no secret.
    """

    owner_url: Output[str]
    """For the migration: SQLAlchemy URL of the role that owns the schema."""
    runtime_url: Output[str]
    """For the server: SQLAlchemy URL of the role that reads and writes rows."""
    runtime_role: Output[str]

    def __init__(self, name: str, args: PostgresArgs, opts: ResourceOptions | None = None):
        outputs = {"owner_url": None, "runtime_url": None, "runtime_role": None}
        super().__init__(PostgresService(), name, {**vars(args), **outputs}, opts)


class PostgresService(Service):
    """The life of the process."""

    title = "Postgres"
    port_key = "database"
    # "Fast": Postgres ends open connections instead of waiting for them.
    stop_signal = signal.SIGINT

    def start(self, process: Process, inputs: Properties) -> dict[str, Any]:
        """Start Postgres on its data, which the first start makes."""
        port = int(inputs["port"])
        files = PostgresFiles(process.folder / "files", account())
        files.create()
        files.unlock()
        settings = SETTINGS | {
            "port": str(port),
            "max_connections": str(int(inputs["connections"]) + RESERVED),
        }
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        owner_url, runtime_url = (files.url(role, HOST, port) for role in (OWNER, RUNTIME))
        process.start(
            run_as(files.account, [program("postgres"), "-D", str(files.data), *flags]),
            ENVIRONMENT,
            lambda: query(files, runtime_url),
            within=START_SECONDS,
        )
        return {"owner_url": owner_url, "runtime_url": runtime_url, "runtime_role": RUNTIME}


def query(files: PostgresFiles, url: str) -> None:
    """Have a question answered, as the server will."""
    if not files.ready:  # each refused login would be a line in the log
        raise NotReady("Postgres recovers what was not written to its data files.")
    try:
        connection = psycopg2.connect(url.replace("+psycopg2", ""), connect_timeout=5)
    except psycopg2.OperationalError as error:
        raise NotReady(str(error).strip()) from error
    try:
        connection.cursor().execute("SELECT 1")
    finally:
        connection.close()
