"""How many requests of a worker are at the database at once: as many as it has connections for.

MLflow's store asks for a second connection while it holds one (to create a run, to log a batch).
Once every connection of the pool is held by a request that waits for another, nothing moves for
half a minute, and they all fail. Here a request waits before it takes the first one instead, so
that one connection is always free for who needs two.
"""

import asyncio
import os
from collections.abc import Callable
from time import perf_counter
from typing import Any

Scope = dict[str, Any]

DATABASE = ("/api/", "/ajax-api/", "/graphql", "/v1/")
"""What begins like this asks the database."""

LONG = ("artifact", "gateway", "assistant")
"""What has these in its path is done with the database long before it ends."""


class Admission:
    """An ASGI app before another one."""

    def __init__(
        self, app: Any, connections: int, *, waited: Callable[[float], object] = lambda _: None
    ) -> None:
        """`waited` is told the seconds of each wait."""
        self._app, self._waited = app, waited
        self._free = asyncio.Semaphore(max(1, connections - 1))

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer, or wait until there is room for what asks the database."""
        if not asks_database(scope):
            await self._app(scope, receive, send)
            return
        begun = perf_counter()
        async with self._free:
            self._waited(perf_counter() - begun)
            await self._app(scope, receive, send)


def asks_database(scope: Scope) -> bool:
    """Whether a request holds connections for most of its time."""
    path = scope.get("path", "")
    return (
        scope["type"] == "http"
        and path.startswith(DATABASE)
        and not any(word in path for word in LONG)
    )


def connections() -> int:
    """The most that MLflow opens to one store, by the variables that MLflow reads."""
    pool = ("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW")
    return sum(int(os.environ[name]) for name in pool)
