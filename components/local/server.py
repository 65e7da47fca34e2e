"""The MLflow server: the pod's command and environment, as a process."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import Resource

from server import migration_contract as migration

from . import package
from .loopback import HOST, ask
from .process import NotReady, NotStarted, Process
from .service import Properties, Service

PROJECT = Path(__file__).parents[2]

MODULES = os.pathsep.join([str(PROJECT), str(PROJECT / "server/plugins")])
"""The server's own, and what tells MLflow of its plugins. In the image both are in one folder."""

START_SECONDS = 300
"""A minute on a busy laptop; a server that dies is noticed at once."""

INHERITED = ("HOME", "LANG", "PATH", "TMPDIR")
"""All that the server takes from whoever starts it: MLflow reads a hundred variables, and a pod's
server has none of the user's."""


@dataclass(frozen=True, kw_only=True)
class ServerArgs:
    """What an MLflow server needs."""

    folder: Input[str]
    """Log."""
    port: Input[int]
    release: Input[str]
    """MLflow's version as it is pinned: another one migrates and restarts."""
    command: Input[list[str]]
    environment: Input[dict[str, Input[str]]]
    owner_url: Input[str]
    """For the migration, which goes first."""
    runtime_role: Input[str]
    """Who the migration lets read and write rows."""
    keep: Input[bool]
    """Whether the folder outlives the resource."""


class Server(Resource, module="local", name="Server"):
    """One MLflow server on the current schema."""

    uri: Output[str]
    """Where it answers."""
    version: Output[str]
    """MLflow's, as the server itself says."""

    def __init__(self, name: str, args: ServerArgs, opts: ResourceOptions | None = None):
        outputs = {"uri": None, "version": None}
        super().__init__(ServerService(), name, {**vars(args), **outputs}, opts)


class ServerService(Service):
    """The life of the process."""

    title = "The MLflow server"
    port_key = "server"

    def start(self, process: Process, inputs: Properties) -> dict[str, Any]:
        """Bring the schema up to date, then start the server."""
        name, *arguments = inputs["command"]
        program = package.program(Path(sys.executable).with_name(name))
        inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
        migrate(process, inherited, inputs)
        port = int(inputs["port"])
        version = process.start(
            [program, *arguments],
            inherited | {"PYTHONPATH": MODULES} | inputs["environment"],
            lambda: answers(port),
            within=START_SECONDS,
        )
        return {"uri": f"http://{HOST}:{port}", "version": version}


def migrate(process: Process, environment: dict[str, str], inputs: Properties) -> None:
    """Do what the migration Job does, by the same command."""
    with process.log.open("ab") as log:
        ended = subprocess.run(
            [sys.executable, "-m", "server.migration"],
            cwd=PROJECT,
            env=environment
            | {
                migration.OWNER_URL: inputs["owner_url"],
                migration.RUNTIME_ROLE: inputs["runtime_role"],
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )
    if ended.returncode != 0:
        raise NotStarted(f"The schema could not be migrated.\n{process.tail()}")


def answers(port: int) -> str:
    """Ask for what needs the database, what needs the bucket, and the version."""
    for method, path, body in (
        ("POST", "/api/2.0/mlflow/experiments/search", {"max_results": 1}),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts", None),
    ):
        if (answer := ask(port, method, path, body)).status != 200:
            raise NotReady(f"{method} {path} is answered {answer.status}: {answer.body[:500]!r}")
    return ask(port, "GET", "/version").body.decode()
