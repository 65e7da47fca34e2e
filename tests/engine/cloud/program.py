"""The brain of a stand-in command: what is on PATH asks it, over a local socket."""

import secrets
import threading
from multiprocessing.connection import Connection, Listener
from pathlib import Path

from .clock import Clock
from .faults import Fault
from .journal import Journal
from .world import World

BIN = Path(__file__).parent / "bin"


class Program:
    """Answers command lines."""

    variable: str
    """Of the environment, by which the command finds its brain."""

    def __init__(self, world: World, clock: Clock, journal: Journal, faults: list[Fault]) -> None:
        self.world, self.clock, self.journal, self.faults = world, clock, journal, faults

    def answer(self, command: list[str]) -> tuple[int, str, str]:
        """Do what the command line asks: exit status, output and errors."""
        raise NotImplementedError

    def start(self) -> dict[str, str]:
        """Listen, and say how to reach it."""
        key = secrets.token_hex(16)
        self._listener = Listener(("127.0.0.1", 0), authkey=key.encode())
        threading.Thread(target=self._listen, daemon=True).start()
        host, port = self._listener.address
        return {self.variable: f"{host}:{port}:{key}"}

    def stop(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        with connection:
            connection.send(self.answer(connection.recv()))
