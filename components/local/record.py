"""Which process was started, so that it is found again."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, kw_only=True)
class Record:
    """A pid alone proves nothing: after a reboot another process has it. The command does."""

    pid: int
    command: list[str]
    program: str | None
    """The executable file; nothing where the system does not tell."""

    @classmethod
    def of(cls, pid: int) -> "Record":
        """A process as the system describes it."""
        told = psutil.Process(pid).as_dict(["cmdline", "exe"])
        return cls(pid=pid, command=told["cmdline"], program=told["exe"])

    @classmethod
    def read(cls, file: Path) -> "Record | None":
        """What was written, if anything."""
        with suppress(FileNotFoundError):
            return cls(**json.loads(file.read_text()))
        return None

    def write(self, file: Path) -> None:
        """Write it whole or not at all."""
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(vars(self), indent=1))
        fresh.replace(file)

    @property
    def process(self) -> psutil.Process | None:
        """The process, if it is still that one."""
        with suppress(psutil.NoSuchProcess):
            if is_alive(self.pid) and Record.of(self.pid).command == self.command:
                return psutil.Process(self.pid)
        return None


def is_alive(pid: int) -> bool:
    """Whether there is such a process; one that nobody waited for has ended all the same."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
