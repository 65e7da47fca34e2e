"""Wait for what is bound to happen, as long as it takes on a busy machine."""

import time
from collections.abc import Callable


def eventually(fact: Callable[[], object], seconds: float = 60) -> None:
    """Wait until it holds; a minute means never, where nothing else is said."""
    begun = asked = time.monotonic()
    while not fact():
        now = time.monotonic()
        assert now - begun < seconds, "it never happened"
        # To ask takes the machine time, which what is waited for needs as well.
        time.sleep(max(now - asked, min(0.01 + (now - begun) / 10, 0.5)))
        asked = time.monotonic()
