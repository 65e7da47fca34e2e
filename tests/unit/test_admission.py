"""Who waits for the database in a worker, and who does not."""

import asyncio

import pytest

from server.admission import Admission
from tests.awaited import awaited

CONNECTIONS = 3


class Slow:
    """An app whose answers are long in coming."""

    def __init__(self):
        self.begun, self.most, self.go = 0, 0, asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.begun += 1
        self.most = max(self.most, self.begun)
        await self.go.wait()
        self.begun -= 1


def begun_at_once(path, kind="http", requests=8, connections=CONNECTIONS):
    """How many of the requests the app sees before it has answered the first."""

    async def ask():
        app = Slow()
        admitted = Admission(app, connections)
        asked = [
            asyncio.create_task(admitted({"type": kind, "path": path}, None, None))
            for _ in range(requests)
        ]
        await asyncio.sleep(0)
        waiting = app.begun
        app.go.set()
        await asyncio.gather(*asked)
        return waiting, app.most

    return awaited(ask())


@pytest.mark.parametrize(
    "path",
    ["/api/2.0/mlflow/runs/create", "/ajax-api/2.0/mlflow/runs/search", "/graphql", "/v1/traces"],
)
def test_one_connection_is_free_for_a_request_that_needs_a_second(path):
    assert begun_at_once(path) == (CONNECTIONS - 1, CONNECTIONS - 1)


@pytest.mark.parametrize(
    "path",
    [
        "/health",
        "/",
        "/static-files/main.js",
        "/get-artifact",
        "/api/2.0/mlflow-artifacts/artifacts/1/model.bin",
        "/ajax-api/2.0/mlflow/gateway-proxy",
    ],
)
def test_probes_pages_and_long_transfers_wait_for_nobody(path):
    assert begun_at_once(path) == (8, 8)


def test_what_is_no_request_is_left_alone():
    assert begun_at_once("/api/", kind="lifespan", requests=2) == (2, 2)


def test_a_pool_of_one_serves_one_request_at_a_time():
    assert begun_at_once("/api/2.0/mlflow/runs/get", connections=1) == (1, 1)


def test_who_waits_is_told_for_how_long():
    waits = []

    async def ask():
        app = Slow()
        admitted = Admission(app, 2, waited=waits.append)
        scope = {"type": "http", "path": "/api/2.0/mlflow/runs/get"}
        asked = [asyncio.create_task(admitted(scope, None, None)) for _ in range(2)]
        await asyncio.sleep(0)
        assert len(waits) == 1
        app.go.set()
        await asyncio.gather(*asked)

    awaited(ask())
    first, second = waits
    assert 0 <= first <= second
