"""Wait for what is bound to happen, as long as it takes on a busy machine."""

import time
from collections.abc import Callable


def eventually(fact: Callable[[], object], seconds: float = 60) -> None:
    """Wait until it holds; a minute means never, where nothing else is said."""
    begun = time.monotonic()
    while not fact():
        waited = time.monotonic() - begun
        assert waited < seconds, "it never happened"
        # To ask takes the machine time, which what is waited for needs as well.
        time.sleep(min(0.01 + waited / 10, 0.5))
