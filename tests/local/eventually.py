"""Wait for what is bound to happen, as long as it takes on a busy machine."""

import time
from collections.abc import Callable


def eventually(fact: Callable[[], object], seconds: float = 60) -> None:
    """Wait until it holds; a minute means never, where nothing else is said."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
