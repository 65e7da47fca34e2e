"""Start a process that outlives us, find it again, stop it."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar, cast

import psutil

from .record import Record, is_alive

LEASH = Path(__file__).with_name("leash.py")

POLL_SECONDS = 0.1
TAIL_LINES = 20

T = TypeVar("T")


class NotReady(Exception):
    """What a process answers while it is still starting."""


class NotStarted(Exception):
    """A process that could not be brought up; nothing of it is left running."""

    # The engine prints the full name of an error before its message.
    __module__ = "builtins"


@dataclass(frozen=True)
class Process:
    """A process in the background, known by the folder that it works in, with its pid and log."""

    title: str
    """What to call it in messages."""
    folder: Path

    @property
    def log(self) -> Path:
        """Everything it printed since it was last started; the run before lies beside it."""
        return self.folder / "log"

    @property
    def record(self) -> Path:
        """Which process it is."""
        return self.folder / "process.json"

    @property
    def running(self) -> bool:
        """Whether it is there. What it leads does not count: workers alone are not a server."""
        return self._leader() is not None

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        ready: Callable[[], T],
        *,
        within: float,
    ) -> T:
        """Start the command and return what `ready` returns once it no longer raises `NotReady`.

        Whatever goes wrong, and even if this very process is killed, the command then ends too.
        """
        with self._on_leash(command, environment) as (pid, let_go):
            answer = self._wait(pid, ready, within)
            Record.of(pid).write(self.record)
            let_go()
        return answer

    def stop(self, how: signal.Signals = signal.SIGTERM, within: float = 60) -> None:
        """End the process, and what is left of one that was killed; kill what will not end."""
        leader = self._leader()
        if leader:
            with suppress(psutil.NoSuchProcess):
                leader.send_signal(how)
            _wait_for([leader], within)
        rest = self.members()
        for process in rest:
            with suppress(psutil.NoSuchProcess):
                process.terminate() if leader is None else process.kill()
        for process in _wait_for(rest, within):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def members(self) -> list[psutil.Process]:
        """The process and those that it started, also when only they are left.

        They run the same program in the same folder. A shell that somebody opened there does not.
        """
        leader, record = self._leader(), Record.read(self.record)

        def ours(process: psutil.Process) -> bool:
            try:
                return process == leader or (
                    record is not None
                    and process.exe() == record.program
                    and Path(process.cwd()).is_relative_to(self.folder.resolve())
                    and is_alive(process.pid)
                )
            except (psutil.Error, OSError):  # gone meanwhile, or another user's
                return False

        return [process for process in psutil.process_iter() if ours(process)]

    def tail(self) -> str:
        """The end of the log, to show beside an error."""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"The last lines of {self.log}:", *(f"    {line}" for line in lines)])

    def new_log(self) -> None:
        """Begin an empty log and keep the last one, so that they cannot grow for ever."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_name("log.1"))
        self.log.touch(mode=0o600)

    def _leader(self) -> psutil.Process | None:
        record = Record.read(self.record)
        return record.process if record else None

    @contextmanager
    def _on_leash(
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> Iterator[tuple[int, Callable[[], None]]]:
        """The command's pid, and what to call for it to outlive this context."""
        with (
            self.log.open("ab") as log,
            subprocess.Popen(
                [sys.executable, "-I", "-S", str(LEASH), *command],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            ) as leash,
        ):
            stdin, stdout = cast(IO[bytes], leash.stdin), cast(IO[bytes], leash.stdout)

            def let_go() -> None:
                stdin.write(b"!")

            if not (pid := stdout.readline()):
                raise NotStarted(f"{command[0]} cannot be executed.\n{self.tail()}")
            yield int(pid), let_go

    def _wait(self, pid: int, ready: Callable[[], T], within: float) -> T:
        deadline = time.monotonic() + within
        while True:
            try:
                return ready()
            except NotReady as reason:
                if not is_alive(pid):
                    raise NotStarted(
                        f"{self.title} ended while it started.\n{self.tail()}"
                    ) from None
                if time.monotonic() > deadline:
                    raise NotStarted(
                        f"{self.title} did not answer within {within:.0f} s, and was stopped.\n"
                        f"The last it said: {reason}\n{self.tail()}"
                    ) from None
            time.sleep(POLL_SECONDS)


def _wait_for(processes: Sequence[psutil.Process], within: float) -> list[psutil.Process]:
    """Those that are still there after so many seconds."""
    deadline = time.monotonic() + within
    while left := [p for p in processes if p.is_running() and is_alive(p.pid)]:
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    return left
