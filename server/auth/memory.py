"""What was looked up, for as long as it may be gone by."""

import time
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")

MOST = 10_000
"""More is let go of as a whole: that many users are not at work within seconds."""


class Memory:
    """Answers by what was asked. What was begun before somebody wrote is not kept."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._answers: dict[Hashable, tuple[float, Any]] = {}
        self._forgotten = 0
        self._lock = Lock()

    def recall(self, key: Hashable, look_up: Callable[[], T]) -> T:
        """What is known, or what is found now; an error is not kept."""
        now = self._clock()
        until, answer = self._answers.get(key, (now, None))
        if now < until:
            return answer  # type: ignore[no-any-return]
        forgotten = self._forgotten
        found = look_up()
        with self._lock:
            if forgotten == self._forgotten:
                if len(self._answers) >= MOST:
                    self._answers.clear()
                self._answers[key] = now + self._seconds, found
        return found

    def forget(self) -> None:
        """Look everything up anew."""
        with self._lock:
            self._forgotten += 1
            self._answers.clear()
