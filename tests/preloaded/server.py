"""Forks for whoever asks, until its input ends. It has one thread, as a fork has only one.

It imports what is needed when somebody asks for the first time.
"""

import gc
import marshal
import os
import re
import runpy
import select
import shutil
import signal
import socket
import sys
from contextlib import suppress
from functools import cache
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

from tests.preloaded import CLIENT
from tools.project import PYTHON, ROOT


def main(address: str) -> None:
    """Fork for each client somebody who looks after it."""
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
    shutil.rmtree(Path(address).parent)


@cache
def preload() -> None:
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
        run(files, arguments, folder, environment)
        end()
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
    if arguments[1] != "-u":  # a question about Python itself
        os.execv(PYTHON, [str(PYTHON), *arguments[1:]])  # noqa: S606
    what, *sys.argv[1:] = arguments[2:]
    sys.stdout.reconfigure(write_through=True)
    if what == "-m":
        module = sys.argv.pop(1)
        sys.path.insert(0, folder)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(what).parent))
        sys.argv[0] = what
        if sys.argv[1] != "run":  # our language host starts the program with its own Python
            sys.executable = str(CLIENT)
        runpy.run_path(what, run_name="__main__")


def end() -> NoReturn:
    """At once: Python would first let go of all that it shares with the server, and so copy it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
