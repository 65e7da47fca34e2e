"""`mlflow server`, whose workers are forks of one process that has imported everything.

They use the store of `server.store`.

MLflow starts uvicorn as another program, and uvicorn starts each worker as yet another one. Each
imports MLflow for itself, which takes most of a server's memory and all of its start.
"""

import gc
import multiprocessing
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from os import environ
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, Dialect, Engine, event

from . import metrics_contract
from .auth.config_file import write_config_file
from .auth.contract import APP

BRIDGED = {
    "mlflow.server.fastapi_app:app": "server.app:app",
    "mlflow.server.auth:create_app": "server.auth.app:app",
}
"""What is served in place of MLflow's app."""

COLLECT = (50_000, 20, 50)
"""New objects before Python looks for cycles among them, and how often among the older ones."""

TIMEOUTS = {
    "connect_timeout": 10,  # seconds
    "tcp_user_timeout": 30_000,  # milliseconds
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""How long a database may be silent, for libpq. A machine that vanishes ends no connection: Linux
would send to it for a quarter of an hour, or wait for its answer for two, and the few connections
of a pool would be gone for as long. A statement may take longer: the kernel answers for it."""

engines: WeakSet[Engine] = WeakSet()
"""What has asked a database in this process."""


@event.listens_for(Engine, "engine_connect")
def _note(connection: Connection) -> None:
    engines.add(connection.engine)


@event.listens_for(Engine, "do_connect")
def _limit_silence(
    dialect: Dialect, _: object, __: Sequence[object], parameters: dict[str, Any]
) -> None:
    """Whatever the URL says itself stays."""
    if dialect.driver == "psycopg2":
        parameters.update({**TIMEOUTS, **parameters})


def serve(command: list[str], *, extra_env: Mapping[str, str], **_: object) -> None:
    """Do what MLflow wants a program of its own for: `PYTHON -m uvicorn OPTIONS... APP`."""
    from uvicorn import _subprocess, main

    environ.update(extra_env)
    *options, app = command[3:]
    app = BRIDGED.get(app, app)
    import_module(app.partition(":")[0])
    # Two processes cannot share a connection.
    for engine in list(engines):
        engine.dispose()
    # What is never collected is never written to, and stays shared.
    gc.freeze()
    # A search makes tens of thousands of objects that are gone with its answer. By default each
    # seven hundred of them are looked through.
    gc.set_threshold(*COLLECT)
    gc.enable()
    vars(_subprocess)["spawn"] = multiprocessing.get_context("fork")
    main([*options, app])


@contextmanager
def counting(port: str | None) -> Iterator[None]:
    """Have workers count their requests, and any of them tell of all at a port of its own.

    Nobody logs in there, and no name is checked: who may reach it is the network's to say.
    """
    if port is None:
        yield
        return
    if "prometheus_client" in sys.modules:
        raise RuntimeError("Prometheus' client is there already, and counts for one process only")
    uvicorn = import_module("uvicorn.main")
    supervise = uvicorn.Multiprocess

    def supervise_both(config: Any, sockets: list[socket.socket]) -> Any:
        return supervise(config, [*sockets, socket.create_server((config.host, int(port)))])

    with tempfile.TemporaryDirectory(prefix="metrics-") as folder:
        # Prometheus' client reads it when it is imported, which MLflow does as well.
        environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        import_module("server.metrics")
        vars(uvicorn)["Multiprocess"] = supervise_both
        yield


def main() -> None:
    """Take the arguments of `mlflow server`."""
    # What imports make stays. Looking for cycles in it, again and again, is a seventh of a start.
    gc.disable()
    with counting(environ.get(metrics_contract.PORT)):
        import uvicorn  # noqa: F401  # by its presence MLflow knows that it is to check hosts
        from mlflow import server
        from mlflow.cli import cli

        # Elsewhere, libraries of the system do not survive a fork.
        if sys.platform == "linux":
            from .store.plugin import register

            vars(server)["_exec_cmd"] = serve
            register()
            if f"--app-name={APP}" in sys.argv:
                file = write_config_file()
                try:
                    login = import_module("mlflow.server.auth")
                finally:
                    file.unlink()
                # The migration has made the admin, whose password is no business of a server's.
                vars(login)["create_admin_user"] = lambda *_: None
        cli(["server", *sys.argv[1:]], prog_name="mlflow")


if __name__ == "__main__":
    main()
