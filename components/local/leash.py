"""Run a command that ends with whoever started it, until it is let go.

`python leash.py COMMAND...` prints the command's pid and reads standard input. A byte lets the
command live on by itself. The end of input, which is all that a killed starter leaves behind, ends
it.

A script of its own with nothing but the standard library: it must not die with its starter.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress

PATIENCE = 10
"""Seconds to end decently."""


def main(*command: str) -> None:
    """Start the command, in a session of its own, and stand by it."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
    )
    print(child.pid, flush=True)
    if sys.stdin.read(1):
        return
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(PATIENCE)
        os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
