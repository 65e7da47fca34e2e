"""A control group of our own in every hierarchy of the machine.

Whatever is started in it stays in it, however often it forks: what is left of it can be ended by
PID and counted, and the groups that Kubernetes makes for pods lie below it.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = {"cpu", "cpuset", "io", "memory", "pids"}
"""What the groups of pods must be able to limit, as version 2 of control groups calls it."""

SHARES = {"cpu.shares": 8 * 1024, "cpu.weight": 8 * 100}
"""Time of the processors, in versions 1 and 2: as much as eight processes that are in no group. By
default all that runs in a group has as much together as one of those, and a node takes forever."""

PATIENCE = 120
"""Seconds for killed processes to be gone, which may have to give back much memory."""


def hierarchies() -> dict[Path, tuple[str, str]]:
    """Where each is mounted, with the type and the options to mount it once more."""
    found = {}
    known = {line.split()[0] for line in Path("/proc/cgroups").read_text().splitlines()}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind in ("cgroup", "cgroup2") and Path(place).is_relative_to(ROOT):
            own = [o for o in options.split(",") if o in known or o.startswith("name=")]
            found[Path(place)] = kind, ",".join(own) or "rw"
    return found


@dataclass(frozen=True)
class ControlGroups:
    """The groups of one name, one in each hierarchy."""

    name: str

    @property
    def folders(self) -> list[Path]:
        """The groups that there may be."""
        return [place / self.name for place in hierarchies()]

    def create(self) -> None:
        """Make them, ready for processes."""
        for group in self.folders:
            group.mkdir(exist_ok=True)
            # Version 1 takes no process before it is told where those may run.
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if (group.parent / setting).exists():
                    (group / setting).write_text((group.parent / setting).read_text())
            for setting, share in SHARES.items():
                if (group / setting).exists():
                    (group / setting).write_text(str(share))
            hand_down(group.parent)

    def join(self) -> None:
        """Put the calling process, and all that it will start, into them."""
        for group in self.folders:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def processes(self) -> set[int]:
        """PIDs of all that is in them or below."""
        return {pid for group in self.folders for pid in _below(group)}

    def end(self) -> None:
        """Kill what is in them, and remove them."""
        deadline = time.monotonic() + PATIENCE
        while left := self.processes():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise RuntimeError(f"processes that do not end: {sorted(left)}")
            time.sleep(0.05)
        for group in self.folders:
            for folder, _, _ in os.walk(group, topdown=False):
                _remove(Path(folder), deadline)


def hand_down(group: Path) -> None:
    """Allow groups below a group of version 2 to limit what it may itself."""
    control = group / "cgroup.subtree_control"
    if control.exists():
        have = (group / "cgroup.controllers").read_text().split()
        for controller in CONTROLLERS & set(have) - set(control.read_text().split()):
            control.write_text(f"+{controller}")


def _below(group: Path) -> Iterator[int]:
    for folder, _, _ in os.walk(group):
        with suppress(OSError):  # removed meanwhile
            yield from map(int, (Path(folder) / "cgroup.procs").read_text().split())


def _remove(group: Path, deadline: float) -> None:
    """The kernel counts a process a moment longer than it shows it."""
    while True:
        try:
            return group.rmdir()
        except FileNotFoundError:
            return None
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)
