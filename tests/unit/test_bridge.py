"""The way round FastAPI: who takes it, and what cannot go wrong on it."""

from contextvars import ContextVar

import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from flask import Flask, Response, request
from starlette.middleware.wsgi import WSGIMiddleware

from server.bridge import BLOCK_BYTES, Bridge
from tests.awaited import awaited

WORKSPACE: ContextVar[str] = ContextVar("workspace", default="none")
BLOCK = b"x" * (BLOCK_BYTES // 2 + 1)


@pytest.fixture
def flask():
    app = Flask(__name__)
    app.closed = 0

    @app.route("/whoami")
    def whoami():
        seen = WORKSPACE.get()
        WORKSPACE.set("somebody's")
        return seen

    @app.route("/echo", methods=["POST"])
    def echo():
        return request.data[::-1]

    @app.route("/long")
    def long():
        answer = Response(BLOCK for _ in range(7))
        answer.call_on_close(lambda: vars(app).update(closed=app.closed + 1))
        return answer

    return app


@pytest.fixture
def bridge(flask):
    app = FastAPI()

    @app.get("/health")
    @app.get("/jobs/{name}")
    async def job():
        return PlainTextResponse("FastAPI")

    app.mount("/", WSGIMiddleware(flask))
    return Bridge(app, flask)


def ask(bridge, path, method="GET", *bodies, headers=(), leave_after=None):
    """The status, what came, and in how many parts; whoever leaves early gets no more."""
    messages = [
        {"type": "http.request", "body": body, "more_body": n < len(bodies)}
        for n, body in enumerate(bodies, start=1)
    ] or [{"type": "http.request"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        if len(sent) == leave_after:
            raise ConnectionError
        sent.append(message)

    scope = {
        **{"type": "http", "http_version": "1.1", "method": method, "path": path},
        **{"query_string": b"", "root_path": "", "scheme": "http"},
        "headers": [
            (b"host", b"localhost"),
            (b"content-length", str(sum(map(len, bodies))).encode()),
            *headers,
        ],
    }
    awaited(bridge(scope, receive, send))
    start, *rest = sent
    return start["status"], b"".join(m.get("body", b"") for m in rest), len(rest)


class Unused:
    """In place of the app that must not be asked."""

    def __init__(self, routes=()):
        self.routes = routes

    async def __call__(self, *_):
        raise AssertionError("it was asked")


@pytest.fixture
def direct(bridge):
    """The bridge, which FastAPI is not behind any more."""
    bridge._native = Unused()
    return bridge


def test_what_fastapi_has_no_route_for_does_not_pass_it(direct):
    assert ask(direct, "/whoami")[0] == 200


def test_a_page_of_elsewhere_is_left_to_fastapi(direct):
    for method, headers in (("OPTIONS", ()), ("GET", [(b"origin", b"https://elsewhere.example")])):
        with pytest.raises(AssertionError, match="it was asked"):
            ask(direct, "/whoami", method, headers=headers)


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_path_of_fastapi_stays_its_own_by_any_method(direct, method):
    with pytest.raises(AssertionError, match="it was asked"):
        ask(direct, "/jobs/7", method)


def test_all_that_is_sent_arrives(direct):
    assert ask(direct, "/echo", "POST", b"abc", b"", b"def") == (200, b"fedcba", 1)


def test_a_request_does_not_see_what_another_one_set(direct):
    assert {ask(direct, "/whoami")[1] for _ in range(50)} == {b"none"}


def test_a_probe_asks_neither_app(direct):
    direct._flask = None

    assert ask(direct, "/health") == (200, b"OK", 1)


def test_what_only_looks_like_a_probe_is_mlflows_to_answer(direct):
    for header in ((b"origin", b"http://localhost"), (b"x-mlflow-workspace", b"ours")):
        with pytest.raises(AssertionError, match="it was asked"):
            ask(direct, "/health", headers=[header])
    for path, method in (("/health", "POST"), ("/healthy", "GET")):
        with pytest.raises(AssertionError, match="it was asked"):
            ask(direct, path, method)


def test_a_long_answer_is_never_in_memory_as_a_whole(direct, flask):
    status, content, parts = ask(direct, "/long")

    assert (status, content) == (200, 7 * BLOCK)
    assert parts == 4
    assert flask.closed == 1


def test_an_answer_that_nobody_waits_for_any_more_is_closed(direct, flask):
    with pytest.raises(ConnectionError):
        ask(direct, "/long", leave_after=2)

    assert flask.closed == 1


def test_an_app_without_a_last_resort_is_refused():
    app = FastAPI()
    app.get("/jobs/{name}")(lambda name: name)

    with pytest.raises(RuntimeError, match="/jobs/{name}"):
        Bridge(app, None)
