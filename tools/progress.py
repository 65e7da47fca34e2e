"""Progress of long steps: what is being done, for how long, how it ended."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WIDTH = 34
REMINDER = 30
"""Seconds between lines where the line cannot be rewritten, as in a CI log."""


@contextmanager
def step(title: str, expect: str = "") -> Iterator[Callable[[str], None]]:
    """Show a step with its elapsed time; call what it yields with the words that end the line.

    `expect` says beforehand how long it may take, where that is long.
    """
    outcome = "done"
    start = time.monotonic()
    ended = threading.Event()
    terminal = sys.stdout.isatty()

    def line(text: str, end: str) -> None:
        elapsed = time.monotonic() - start
        clear = "\r\033[K" if terminal else ""
        took = f"{elapsed:5.0f} s" if elapsed >= 1 else "       "
        print(f"{clear}  {title:<{WIDTH}}{took}  {text}", end=end, flush=True)

    def tick() -> None:
        while not ended.wait(1 if terminal else REMINDER):
            line(expect if terminal else "...", "" if terminal else "\n")

    def conclude(words: str) -> None:
        nonlocal outcome
        outcome = words

    if terminal or expect:
        line(expect or "...", "" if terminal else "\n")
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield conclude
    except BaseException:
        outcome = "failed"
        raise
    finally:
        ended.set()
        ticker.join()
        line(outcome, "\n")
