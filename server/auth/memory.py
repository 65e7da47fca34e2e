"""What was looked up, for as long as it may be gone by."""

import math
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")

MOST = 10_000
"""More is let go of as a whole: that many users are not at work within seconds."""


class Oldest(threading.local):
    """Until when what a thread has recalled may be gone by."""

    until = math.inf


class Memory:
    """Answers by what was asked. What was begun before somebody wrote is not kept.

    An answer that follows from others is gone by no longer than they are.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._answers: dict[Hashable, tuple[float, Any]] = {}
        self._forgotten = 0
        self._lock = threading.Lock()
        self._oldest = Oldest()

    def recall(self, key: Hashable, look_up: Callable[[], T]) -> T:
        """What is known, or what is found now; an error is not kept."""
        oldest, now = self._oldest, self._clock()
        until, answer = self._answers.get(key, (now, None))
        if now < until:
            oldest.until = min(oldest.until, until)
            return answer  # type: ignore[no-any-return]
        forgotten = self._forgotten
        before, oldest.until = oldest.until, now + self._seconds
        try:
            found = look_up()
        finally:
            until, oldest.until = oldest.until, min(oldest.until, before)
        with self._lock:
            if forgotten == self._forgotten:
                if len(self._answers) >= MOST:
                    self._answers.clear()
                self._answers[key] = until, found
        return found

    def forget(self) -> None:
        """Look everything up anew."""
        with self._lock:
            self._forgotten += 1
            self._answers.clear()
