"""The time that the real services take, passed quicker."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Waits `speed` times shorter than the real service would take.

    A wait for something to become ready ends after real `patience` in which the cloud had nothing
    else to do: how long the engine needs between two requests says nothing about the program.
    """

    def __init__(self, speed: float = 400, patience: float = 20) -> None:
        self.speed, self.patience = speed, patience
        self._lock = threading.Lock()
        self._busy = 0
        self._rested = time.monotonic()

    def spend(self, seconds: float) -> None:
        """Pass the real service's `seconds`, on something that will end."""
        with self._working():
            time.sleep(seconds / self.speed)

    def still_hoping(self) -> bool:
        """Pass a moment, and say whether what is waited for may still come."""
        time.sleep(0.05)
        with self._lock:
            return self._busy > 0 or time.monotonic() - self._rested < self.patience

    @contextmanager
    def _working(self) -> Iterator[None]:
        with self._lock:
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1
                self._rested = time.monotonic()
