"""Holds an enclosure for whoever started it, and leaves nothing of it.

`python -m tests.cluster.keeper FOLDER` reads standard input. A byte lets the enclosure live on by
itself. The end of input, which is all that a killed starter leaves behind, ends it, and so do
SIGTERM and the end of its command. A command with a grace may end by itself first.
"""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from tests.cluster.enclosure import Enclosure

POLL_SECONDS = 0.1
PATIENCE = 60
"""Seconds for the kernel to make namespaces on a busy machine."""


class Asked(Exception):
    """Somebody wants the enclosure to end."""


def main(folder: Path) -> int:
    """Keep it until it ends or is to be ended."""
    enclosure = Enclosure(folder)
    signal.signal(signal.SIGTERM, _asked)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = _keep(enclosure)
    except Asked:
        code = None
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        enclosure.end()
    if code is None:
        enclosure.discard()
    return code or 0  # the log of one that ended by itself is kept until the next one starts


def _keep(enclosure: Enclosure) -> int:
    plan = enclosure.plan
    enclosure.groups.create()
    # The kernel ends `unshare` with us, and with `unshare` the first process of the enclosure.
    unshare = ["setpriv", "--pdeathsig", "KILL", "unshare", "--kill-child", "--mount-proc"]
    namespaces = ["--fork", "--pid", "--mount", "--cgroup", "--uts"]
    inside = [sys.executable, "-m", "tests.cluster.inside", str(enclosure.folder)]
    with enclosure.log.open("ab") as log:
        child = subprocess.Popen(
            [*unshare, *namespaces, *(["--net"] if plan.link else []), *inside],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=enclosure.groups.join,
        )
    try:
        if plan.link:
            _wait_for_network(child)
            plan.link.create(child.pid)
        return _wait(child)
    except Asked:
        _ask(enclosure, child)
        raise
    finally:
        child.kill()
        child.wait()


def _wait(child: "subprocess.Popen[bytes]") -> int:
    """Until the command ends, or, unless it was let go, the input does."""
    held = [sys.stdin]
    while child.poll() is None:
        ready, _, _ = select.select(held, [], [], POLL_SECONDS)
        if ready:
            if not os.read(sys.stdin.fileno(), 1):
                raise Asked
            held = []
    return child.returncode


def _ask(enclosure: Enclosure, child: "subprocess.Popen[bytes]") -> None:
    """Let a command that is ready end in order, in the grace that it has."""
    with suppress(FileNotFoundError, subprocess.TimeoutExpired):
        enclosure.ready.unlink()
        child.wait(enclosure.plan.grace)


def _wait_for_network(child: "subprocess.Popen[bytes]") -> None:
    """Until the child has one of its own."""
    deadline = time.monotonic() + PATIENCE
    while child.poll() is None and time.monotonic() < deadline:
        if not os.path.samestat(os.stat("/proc/self/ns/net"), os.stat(f"/proc/{child.pid}/ns/net")):
            return
        time.sleep(0.01)
    raise RuntimeError("the enclosure got no network of its own")


def _asked(_signal: int, _frame: FrameType | None) -> None:
    raise Asked


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
