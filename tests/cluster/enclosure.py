"""Programs that make mounts, interfaces, firewall rules and processes, kept in a box.

The box is a set of Linux namespaces with control groups of its own. Whoever opens it needs no list
of what the programs do: the kernel removes it all with the box. What a box itself leaves on the
machine, a folder, control groups and one interface, has names that follow from the folder, so it
is found and removed even if everybody who knew of the box was killed.
"""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, cast

from tests.cluster.control_groups import ControlGroups
from tests.cluster.link import Link, remove
from tools.project import LOCAL, ROOT

PLACE = LOCAL / "cluster"
"""All enclosures of this checkout lie here."""

TAIL_LINES = 20
POLL_SECONDS = 0.1
PATIENCE = 180
"""Seconds to end. It takes two or three, of a machine that has nothing else to do."""


class NotStarted(Exception):
    """An enclosure that did not get ready; nothing of it is left but its log."""


@dataclass(frozen=True)
class Plan:
    """What an enclosure is to run."""

    command: list[str]
    link: Link | None
    """Its wire to this machine; without one it shares this machine's network."""
    grace: float
    """Seconds that the command has to end by itself once `ready` is taken from it."""


@dataclass(frozen=True)
class Enclosure:
    """One box, known by its folder."""

    folder: Path

    @classmethod
    def named(cls, name: str) -> "Enclosure":
        """The one of a name in this checkout."""
        return cls(PLACE / name)

    @classmethod
    def fresh(cls, purpose: str) -> "Enclosure":
        """One that nobody has yet."""
        return cls.named(f"{purpose}-{secrets.token_hex(4)}")

    @property
    def id(self) -> str:
        """Differs between folders, and short enough for the name of an interface."""
        return "mlf-" + hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]

    @property
    def groups(self) -> ControlGroups:
        """Where all its processes are."""
        return ControlGroups(self.id)

    @property
    def ready(self) -> Path:
        """What a command makes when it is ready."""
        return self.folder / "ready"

    @property
    def log(self) -> Path:
        """What its command and its keeper print."""
        return self.folder / "log"

    @property
    def plan(self) -> Plan:
        """What was written down for the keeper and the inside."""
        told = json.loads((self.folder / "plan.json").read_text())
        return Plan(**told | {"link": Link(**told["link"]) if told["link"] else None})

    @property
    def running(self) -> bool:
        """Whether somebody holds it."""
        with suppress(FileNotFoundError), self.lock.open() as lock:
            return not _locked(lock)
        return False

    @property
    def lock(self) -> Path:
        """Locked by the keeper for as long as it lives; the kernel unlocks it then."""
        return self.folder / "lock"

    @contextmanager
    def opened(
        self,
        command: Sequence[str],
        *,
        network: bool,
        within: float,
        grace: float = 0,
    ) -> Iterator[Callable[[], None]]:
        """Run a command in it for as long as the context lasts, from when it is `ready`.

        However its owner ends, the enclosure does too, unless what this yields was called before.
        """
        link = Link.choose(self.id) if network else None
        keeper = self._start(Plan(list(command), link, grace))
        stdin = cast(IO[bytes], keeper.stdin)
        let_go = False

        def release() -> None:
            nonlocal let_go
            stdin.write(b"!")
            let_go = True

        try:
            self._wait(keeper, within)
            yield release
        finally:
            stdin.close()
            if not let_go:
                keeper.wait(PATIENCE)

    def close(self) -> None:
        """Have the keeper of one that was let go end it."""
        pid = int((self.folder / "keeper").read_text())
        if self.running:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while self.running:
            if time.monotonic() > deadline:
                raise RuntimeError(f"process {pid} did not end {self.folder}")
            time.sleep(POLL_SECONDS)
        sweep()

    def end(self) -> None:
        """End what runs in it and remove what it made on this machine, but for the folder."""
        self.groups.end()
        remove(self.id)

    def discard(self) -> None:
        """Remove the folder of one that has ended."""
        with _alone():
            shutil.rmtree(self.folder)

    def tail(self) -> str:
        """The end of the log, to show beside an error."""
        if not self.log.exists():
            return "Somebody ended it."
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"The last lines of {self.log}:", *(f"    {line}" for line in lines)])

    def _start(self, plan: Plan) -> "subprocess.Popen[bytes]":
        with _alone():
            _sweep()
            self.folder.mkdir(mode=0o700)
            lock = self.lock.open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
        with lock, self.log.open("wb") as log:
            (self.folder / "plan.json").write_text(json.dumps(asdict(plan), indent=1))
            keeper = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.keeper", str(self.folder)],
                cwd=ROOT,
                pass_fds=[lock.fileno()],  # with the file it inherits the lock
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                bufsize=0,
                start_new_session=True,
            )
        (self.folder / "keeper").write_text(str(keeper.pid))
        return keeper

    def _wait(self, keeper: "subprocess.Popen[bytes]", within: float) -> None:
        deadline = time.monotonic() + within
        while not self.ready.exists():
            if keeper.poll() is not None:
                raise NotStarted(f"It ended while it started.\n{self.tail()}")
            if time.monotonic() > deadline:
                raise NotStarted(f"It was not ready within {within:.0f} s.\n{self.tail()}")
            time.sleep(POLL_SECONDS)


def sweep() -> None:
    """Remove what is left of enclosures whose keepers are gone."""
    with _alone():
        _sweep()


@contextmanager
def _alone() -> Iterator[None]:
    """Nobody else makes or removes a folder meanwhile."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / ".lock").open("w") as place:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield


def _sweep() -> None:
    for folder in PLACE.iterdir():
        if folder.is_dir() and not (enclosure := Enclosure(folder)).running:
            enclosure.end()
            shutil.rmtree(folder)


def _locked(file: IO[str]) -> bool:
    """Whether we have the lock now, that is, nobody else had it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
