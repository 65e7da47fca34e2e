"""What a coroutine returns, for tests that are none themselves."""

import asyncio
from collections.abc import Coroutine
from contextlib import closing
from typing import Any, TypeVar

T = TypeVar("T")


def awaited(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end."""
    # Not asyncio.run: Pulumi's mocks go on with the loop that it would take away.
    with closing(asyncio.new_event_loop()) as loop:
        return loop.run_until_complete(work)
