"""What a server tells Prometheus: its requests, how long they took, and what they waited for.

Each worker counts in files of its own, and the one that is asked adds all of them up. What a worker
has counted stays when it dies.
"""

from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, make_asgi_app
from prometheus_client.multiprocess import MultiProcessCollector

from .routes import taken

REQUESTS = Counter("http_requests", "Requests.", ["method", "route", "status"])

SECONDS = Histogram(
    "http_request_duration_seconds",
    "Seconds from a request to the end of its answer.",
    ["route"],
    # Few: each is a series of its own for every route and pod, and managed Prometheus is paid by
    # the sample. Most answers take milliseconds, a long search a second, a model minutes.
    buckets=(0.01, 0.05, 0.25, 1, 5, 60),
)

WAITED = Counter(
    "mlflow_database_wait_seconds",
    "Seconds that requests waited because all connections to the database were in use.",
)

OTHER = "other"
"""What no route takes."""


class Metrics:
    """An ASGI app before another one: counts, and at a port of its own tells what it counted."""

    def __init__(self, app: Any, port: int) -> None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        self._app, self._port, self._told = app, port, make_asgi_app(registry)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["server"][1] == self._port:
            await self._told(scope, receive, send)
            return
        status = 500

        async def note(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        routes: list[str] = []
        taken.set(routes)
        begun = perf_counter()
        try:
            await self._app(scope, receive, note)
        finally:
            # FastAPI notes its own routes, as objects.
            route = routes[0] if routes else getattr(scope.get("route"), "path", OTHER)
            REQUESTS.labels(scope["method"], route, status).inc()
            SECONDS.labels(route).observe(perf_counter() - begun)
