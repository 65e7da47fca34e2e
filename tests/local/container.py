"""Runs a container of a rendered pod as a process of this machine: its command, its files."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.local.account import account, admit, run_as

Document = Any


def free_port(*above: int) -> int:
    """A port that nobody listens on, nor on those that many places above it.

    It is none of those that callers are given: one could have it between two lives of a server.
    """
    while True:
        port = random.randrange(20000, 32000)  # noqa: S311
        if not any(_taken(port + n) for n in (0, *above)):
            return port


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Pod:
    """A pod whose mounts are folders below one folder, and whose ports are others."""

    spec: Document
    folder: Path
    programs: Path
    """Folder of what the image has on its PATH."""
    replaced: Mapping[str, str]

    def write(self, path: str, content: str) -> None:
        """Put a file where a volume would be mounted."""
        file = Path(self._here(path))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self._here(content))
        file.chmod(0o644)

    def make(self, *paths: str) -> None:
        """Make the folders of empty volumes, for the user of the pod to write to."""
        admit(self.folder / "x")
        for path in paths:
            folder = Path(self._here(path))
            folder.mkdir(parents=True, exist_ok=True)
            if account():
                shutil.chown(folder, account())

    def start(self, container: Document, *command: str) -> "Running":
        """Start a container, or another command in it."""
        variables = {each["name"]: self._here(each["value"]) for each in container.get("env", [])}
        shell, *rest = (self._here(word) for word in command or container["command"])
        # A file, not a pipe: a pipe that nobody reads is full one day, and the program waits.
        log = self.folder / f"log-{len(list(self.folder.glob('log-*')))}"
        with log.open("w") as output:
            process = subprocess.Popen(
                run_as(account(), [shutil.which(shell) or shell, *rest]),
                env={
                    **variables,
                    "PATH": f"{self.programs}:{os.environ['PATH']}",
                    "HOME": self._here("/tmp"),
                },
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Running(process, log)

    def run(self, container: Document, *command: str) -> None:
        """Run to the end; an error shows what it printed."""
        running = self.start(container, *command)
        if running.process.wait(timeout=300):
            raise AssertionError(running.log.read_text())

    def _here(self, text: str) -> str:
        for there, here in self.replaced.items():
            text = text.replace(there, here)
        return text


@dataclass(frozen=True)
class Running:
    """A container that was started."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def until(self, answers: Callable[[], Any], seconds: float = 300) -> Any:
        """What it answers once it does; an error of its own at once."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return answers()
            except Exception:
                if self.process.poll() is not None:
                    raise AssertionError(self.log.read_text()) from None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self, how: signal.Signals = signal.SIGTERM, patience: float = 30) -> int:
        """End it as a kubelet does: it may end by itself, and once its time is up it must."""
        self.process.send_signal(how)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
