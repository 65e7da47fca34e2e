"""Which route answered a request, whichever way it took."""

import pytest
from fastapi import FastAPI
from flask import Flask, abort
from starlette.middleware.wsgi import WSGIMiddleware

from server import routes
from server.bridge import Bridge
from tests.awaited import awaited

PAGE = [(b"origin", b"http://localhost")]


@pytest.fixture(scope="module")
def bridge():
    flask, native = Flask(__name__), FastAPI()

    @flask.route("/models/<model_id>")
    def model(model_id):
        return model_id

    @flask.route("/broken")
    def broken():
        raise ZeroDivisionError

    @flask.route("/refused")
    def refused():
        abort(403)

    @native.get("/files/{path:path}")
    async def file(path: str):
        return path

    routes.tell_routes(flask)
    native.mount("/", WSGIMiddleware(flask))
    return Bridge(native, flask)


def noted(app, path, headers=()):
    async def receive():
        return {"type": "http.request"}

    async def send(_):
        pass

    async def ask():
        taken = []
        routes.taken.set(taken)
        scope = {
            **{"type": "http", "http_version": "1.1", "method": "GET", "path": path},
            **{"query_string": b"", "root_path": "", "scheme": "http"},
            "headers": [(b"host", b"localhost"), *headers],
        }
        await app(scope, receive, send)
        return taken

    return awaited(ask())


@pytest.mark.parametrize("headers", [[], PAGE], ids=["a program", "a page"])
@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/models/m-1f3c", "/models/<model_id>"),
        ("/broken", "/broken"),
        ("/refused", "/refused"),
    ],
)
def test_all_that_a_route_of_flasks_answers_has_its_name(bridge, path, route, headers):
    assert noted(bridge, path, headers) == [route]


def test_a_probe_has_a_name_and_a_path_that_leads_nowhere_has_none(bridge):
    assert noted(bridge, "/health") == ["/health"]
    assert noted(bridge, "/models") == []


def test_where_nobody_counts_nothing_is_noted(bridge):
    routes.note("/health")
    assert routes.taken.get() is None
