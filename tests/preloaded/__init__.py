"""Pythons that have imported what takes seconds each time, and are forked for whoever asks.

One has the SDKs of the program, of which the engine starts several for each of its commands. The
other has MLflow and scikit-learn, for pytest's workers and for programs of scientists that they
start. Neither has a module of ours: those come from the copy that is tested.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tools.project import PYTHON, ROOT

CLIENT = Path(__file__).with_name("python")
"""What takes the place of `python`."""

ADDRESS = "PRELOADED_PYTHON"
"""The variable by which the client finds its server."""

SDKS, MLFLOW = "sdks", "mlflow"
"""What the one has, and the other; files of this name in the folder of `ADDRESS` are sockets."""


@contextmanager
def served() -> Iterator[None]:
    """Let both be there for this process and all that it starts."""
    with tempfile.TemporaryDirectory(prefix="mlflow-platform-python-") as folder, ExitStack() as it:
        for name in (SDKS, MLFLOW):
            it.enter_context(_serving(Path(folder, name)))
        os.environ[ADDRESS] = str(Path(folder, MLFLOW))
        try:
            yield
        finally:
            del os.environ[ADDRESS]


@contextmanager
def _serving(socket: Path) -> Iterator[None]:
    command = [str(PYTHON), "-m", "tests.preloaded.server", str(socket)]
    pipe = subprocess.PIPE
    # In a session of its own, as Ctrl-C is for the tests; it ends when its input does.
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, start_new_session=True) as it:
        assert it.stdout is not None
        assert it.stdout.readline(), "the preloaded Python has not started"
        try:
            yield
        finally:
            it.communicate()


def environment() -> dict[str, str]:
    """What has the engine use it, where it is there. A benchmark has what users have."""
    if (address := os.environ.get(ADDRESS)) is None:
        return {}
    return {"PULUMI_PYTHON_CMD": str(CLIENT), ADDRESS: str(Path(address).with_name(SDKS))}


def python() -> str:
    """The Python of a program that imports MLflow. Its start is not what is looked at."""
    return str(CLIENT) if ADDRESS in os.environ else sys.executable
