"""A Python that has imported what the program imports of others, which takes it seconds each time.

The engine starts several for each of its commands. In tests they are forks of one process, which
has none of the program's own modules: those come from the copy that is tested.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.project import PYTHON, ROOT

CLIENT = Path(__file__).with_name("python")
"""What takes the place of `python`."""

ADDRESS = "PRELOADED_PYTHON"
"""The variable by which the client finds its server."""


@contextmanager
def served() -> Iterator[None]:
    """Let it be there for this process and all that it starts."""
    folder = tempfile.mkdtemp(prefix="mlflow-platform-python-")
    os.environ[ADDRESS] = str(Path(folder, "socket"))
    command = [str(PYTHON), "-m", "tests.preloaded.server", os.environ[ADDRESS]]
    pipe = subprocess.PIPE
    # In a session of its own, as Ctrl-C is for the tests; it ends when its input does.
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, start_new_session=True) as it:
        assert it.stdout is not None
        assert it.stdout.readline(), "the preloaded Python has not started"
        try:
            yield
        finally:
            del os.environ[ADDRESS]
            it.communicate()


def environment() -> dict[str, str]:
    """What has the engine use it, where it is there. A benchmark has what users have."""
    address = os.environ.get(ADDRESS)
    return {"PULUMI_PYTHON_CMD": str(CLIENT), ADDRESS: address} if address else {}
