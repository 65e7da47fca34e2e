"""What a person sees while a run works: short lines, each with what it is about."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(about: str, text: str) -> None:
    """Print one line at once, also where output is piped, as in a pod's log."""
    print(f"{about:<10} {text}", flush=True)


@contextmanager
def timed(about: str, text: str) -> Iterator[list[float]]:
    """Say what begins, and when it is done how long it took; that time is left in the list."""
    print(f"{about:<10} {text} …", end=" ", flush=True)
    seconds: list[float] = []
    start = time.perf_counter()
    try:
        yield seconds
    except BaseException:
        print(flush=True)
        raise
    seconds.append(time.perf_counter() - start)
    print(f"{seconds[0]:.1f} s", flush=True)
