"""The long-running programs that an enclosure is there for."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

POLL_SECONDS = 0.1
TAIL_LINES = 8


class Ended(Exception):
    """One of the programs ended; without it the others are of no use."""


@dataclass
class Programs:
    """Those that run, each with a log of its own."""

    logs: Path
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start one."""
        # Without the proxies of this machine: everything they reach is here. An idle Go program
        # that has two cores spends a fifth of its time on looking for work for the other one.
        env = {"PATH": os.environ["PATH"], "HOME": "/run", "GOMAXPROCS": "1"}
        with self._log(name).open("wb") as log:
            self.running[name] = subprocess.Popen(
                command,
                env=env | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def check(self) -> None:
        """Refuse to go on without one of them."""
        for name, process in self.running.items():
            if process.poll() is not None:
                lines = self._log(name).read_text(errors="replace").splitlines()[-TAIL_LINES:]
                raise Ended("\n".join([f"{name} ended with {process.returncode}:", *lines]))

    def end(self, name: str) -> None:
        """Have one end in order."""
        process = self.running.pop(name)
        process.terminate()
        process.wait()

    def wait(self, fact: Callable[[], bool]) -> None:
        """Wait until something holds, as long as they all run. Who opened the enclosure counts."""
        while not fact():
            self.check()
            time.sleep(POLL_SECONDS)

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"
