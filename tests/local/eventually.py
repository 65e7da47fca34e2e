"""Wait for what is bound to happen, as long as it takes on a busy machine."""

import time
from collections.abc import Callable


def eventually(fact: Callable[[], object]) -> None:
    """Wait until it holds; a minute means never."""
    deadline = time.monotonic() + 60
    while not fact():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
