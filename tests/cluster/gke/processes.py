"""The processes of containers, as the machine sees them that runs the node."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Process:
    """One of them."""

    pid: int

    def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        os.kill(self.pid, signal.SIGKILL)

    @property
    def status(self) -> dict[str, str]:
        """What the kernel says of it: `Uid`, `CapEff` and so on."""
        lines = (self._folder / "status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}

    @property
    def environment(self) -> str:
        """The variables that it was started with."""
        return (self._folder / "environ").read_text(errors="replace")

    @property
    def root_is_read_only(self) -> bool:
        """Whether nobody can write to its root, which is the container's."""
        mounts = [line.split() for line in (self._folder / "mountinfo").read_text().splitlines()]
        (options,) = [mount[5] for mount in mounts if mount[4] == "/"]
        return "ro" in options.split(",")

    @property
    def _folder(self) -> Path:
        return Path(f"/proc/{self.pid}")


def processes(container: str) -> list[Process]:
    """Of a container, by the id in its pod's status; the first one is its oldest."""
    group = container.rpartition("/")[2]
    assert group, "the container does not run"
    return sorted(_in_group(group), key=lambda each: each.pid)


def _in_group(group: str) -> Iterator[Process]:
    for pid in psutil.pids():
        with suppress(OSError):  # it has ended meanwhile
            if group in Path(f"/proc/{pid}/cgroup").read_text():
                yield Process(pid)
