"""Forks for whoever asks, until its input ends. It has one thread, as a fork has only one.

It imports what is needed when somebody asks for the first time.
"""

import atexit
import gc
import importlib
import marshal
import os
import re
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from functools import cache
from operator import attrgetter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NoReturn

from tests.preloaded import ADDRESS, CLIENT, MLFLOW, SDKS
from tools.project import PYTHON, ROOT

SCIENCE = (
    "skops.io",  # first: it looks for hundreds of names in each module that is there
    "matplotlib.pyplot",
    "sklearn.ensemble",
    "sklearn.inspection",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "mlflow.sklearn",
    "mlflow.store.tracking.sqlalchemy_store",
    "pyarrow.parquet",
)


def main(address: str) -> None:
    """Fork for each client somebody who looks after it."""
    atexit.register(end)  # what is registered first is done last
    preload = import_science if Path(address).name == MLFLOW else import_sdks
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
            client = listener.accept()[0]
            preload()
            if not os.fork():
                look_after(client)
                end()
            client.close()
            with suppress(ChildProcessError):  # there is none
                while os.waitpid(-1, os.WNOHANG) != (0, 0):
                    pass


@cache
def import_science() -> None:
    """Import what tests of MLflow and the training project import, but no server."""
    gc.disable()
    for module in SCIENCE:
        importlib.import_module(module)
    os.register_at_fork(after_in_child=importlib.import_module("numpy.random").seed)
    gc.freeze()
    gc.enable()


@cache
def import_sdks() -> None:
    """Import what the program does of others; SDKs load a part when it is asked for by name."""
    gc.disable()  # what is imported stays, and no fork lives long enough to have garbage
    import pulumi.automation._server  # noqa: F401
    import pulumi_gcp
    import pulumi_kubernetes
    import pulumi_random  # noqa: F401
    import pydantic  # noqa: F401

    sdks = SimpleNamespace(gcp=pulumi_gcp, k8s=pulumi_kubernetes)
    for file in (*ROOT.glob("components/*.py"), *ROOT.glob("platforms/*.py")):
        for name in re.findall(r"\b(?:gcp|k8s)(?:\.\w+)+", file.read_text()):
            with suppress(AttributeError):  # it was only a text
                attrgetter(name)(sdks)


def look_after(client: socket.socket) -> None:
    """Run what is asked for in a fork of its own; hand on signals, and how it ended."""
    _, files, _, _ = socket.recv_fds(client, 1, 3)
    with client.makefile("rb", buffering=0) as stream:
        arguments, folder, environment = marshal.load(stream)  # noqa: S302 - from our own client
    ended, running = os.pipe()
    pid = os.fork()
    if not pid:
        client.close()
        os.setpgid(0, 0)
        try:
            run(files, arguments, folder, environment)
        except BaseException:
            atexit.unregister(end)  # Python says what is wrong, and ends as it always does
            raise
        sys.exit()
    for file in (running, *files):
        os.close(file)
    with suppress(ProcessLookupError, PermissionError, BrokenPipeError):
        os.setpgid(pid, pid)  # whichever of the two is first
        while ended not in select.select([ended, client], [], [])[0]:
            number = client.recv(1) or [signal.SIGKILL]
            os.killpg(pid, number[0])
        client.sendall(bytes([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256]))


def run(files: list[int], arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """What `python` does with such arguments."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.remove(str(ROOT))
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    _, *options = arguments
    if options[0] == "-u":
        sys.stdout.reconfigure(write_through=True)
        del options[0]
    what, *rest = sys.argv = options
    if what == "-c":
        del sys.argv[1]
        sys.path.insert(0, "")
        execute(rest[0], "<string>")
    elif what == "-m":
        del sys.argv[1]
        sys.path.insert(0, folder)
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif what.startswith("-"):  # a question about Python itself
        os.execv(PYTHON, [str(PYTHON), *arguments[1:]])  # noqa: S606
    else:
        script = Path(folder, what)
        sys.path.insert(0, str(script.resolve().parent))
        if Path(environment[ADDRESS]).name == SDKS and rest[:1] != ["run"]:
            sys.executable = str(CLIENT)  # our language host starts the program with it
        execute(script.read_bytes(), str(script), __file__=str(script))


def execute(source: str | bytes, name: str, **known: str) -> None:
    """Run it as the main module."""
    main = sys.modules["__main__"] = ModuleType("__main__")
    vars(main).update(known)
    exec(compile(source, name, "exec"), vars(main))  # noqa: S102


def end() -> NoReturn:
    """At once: Python would first let go of all that it shares with the server, and so copy it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
