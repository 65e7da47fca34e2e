"""A FastAPI app around a Flask app, which is called directly.

Most of MLflow's API is a Flask app inside of a FastAPI app. On the way in and out a request passes
six layers, two tasks and a queue, all of which the Flask app has counterparts of: it checks hosts
and origins, and chooses the workspace, by itself. That way costs more than most answers.
"""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from fastapi.routing import iter_route_contexts
from mlflow.utils.workspace_utils import WORKSPACE_HEADER_NAME
from starlette.middleware.wsgi import build_environ

from .routes import note

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

THREADS = 40
"""Requests that one worker answers at once, as in MLflow's own app."""

BLOCK_BYTES = 2**20
"""How much of an answer is sent, and held in memory, at once."""

PROBE = "/health"

ALIVE: list[Message] = [
    {
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-length", b"2"),
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"SAMEORIGIN"),
            (b"vary", b"Origin"),
        ],
    },
    {"type": "http.response.body", "body": b"OK"},
]
"""What FastAPI answers to a probe, whatever host it is for. There that takes a third of the CPU of
getting a run."""

ORIGIN = b"origin"
"""A header in which browsers say from which page a request comes."""

WORKSPACE = WORKSPACE_HEADER_NAME.lower().encode()
"""A header that is refused where there are no workspaces, by a probe too."""


class Bridge:
    """An ASGI app: what FastAPI has a route for goes there, the rest to Flask."""

    def __init__(self, native: Any, flask: Any) -> None:
        self._native, self._flask = native, flask
        self._prefixes = prefixes(native)
        self._threads = ThreadPoolExecutor(THREADS, "flask")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if is_probe(scope):
            note(PROBE)
            for message in ALIVE:
                await send(message)
            return
        if not self._is_for_flask(scope):
            await self._native(scope, receive, send)
            return
        environ = build_environ(scope, await body(receive))
        # A thread answers many requests, and what one of them sets must not reach the next.
        run = copy_context().run
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, run, Answer, self._flask, environ)
        try:
            await send(answer.start)
            while answer.more:
                await send({"type": "http.response.body", "body": answer.block, "more_body": True})
                await loop.run_in_executor(self._threads, run, answer.read)
            await send({"type": "http.response.body", "body": answer.block})
        finally:
            if answer.more:  # whoever asked is gone
                await loop.run_in_executor(self._threads, run, answer.close)

    def _is_for_flask(self, scope: Message) -> bool:
        return (
            scope["type"] == "http"
            and not scope["path"].startswith(self._prefixes)
            # Both apps say what pages of elsewhere may do, and browsers go by FastAPI's words.
            and scope["method"] != "OPTIONS"
            and not says(scope, ORIGIN)
        )


class Answer:
    """What Flask answers, read block by block, by whichever thread."""

    start: Message

    def __init__(self, flask: Any, environ: dict[str, Any]) -> None:
        self._parts: Iterable[bytes] = flask(environ, self._start)
        self._rest: Iterator[bytes] = iter(self._parts)
        self.read()

    def read(self) -> None:
        """Fetch the next `block`; `more` says whether it was not the last one."""
        block = io.BytesIO()
        self.more = True
        while block.tell() < BLOCK_BYTES:
            part = next(self._rest, None)
            if part is None:
                self.more = False
                self.close()
                break
            block.write(part)
        self.block = block.getvalue()

    def close(self) -> None:
        """Tell Flask that no more of it is wanted: it closes files and ends the request."""
        if close := getattr(self._parts, "close", None):
            close()

    def _start(self, status: str, headers: list[tuple[str, str]], _: object = None) -> None:
        self.start = {
            "type": "http.response.start",
            "status": int(status.partition(" ")[0]),
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
            ]
            # As the layers do that were left out: with a page of elsewhere it is another answer.
            + [(b"vary", b"Origin")],
        }


def is_probe(scope: Message) -> bool:
    """Whether a request is a plain question for a sign of life."""
    return (
        scope["type"] == "http"
        and scope["path"] == PROBE
        and scope["method"] == "GET"
        and not says(scope, ORIGIN, WORKSPACE)
    )


def says(scope: Message, *names: bytes) -> bool:
    """Whether a request has one of these headers."""
    return any(name in names for name, _ in scope["headers"])


async def body(receive: Receive) -> bytes:
    """All that the client sends."""
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def prefixes(native: Any) -> tuple[str, ...]:
    """With what the paths begin that FastAPI answers itself, or has to refuse.

    All of its routes but the last: that one takes whatever is left, and hands it to Flask.
    """
    paths = [str(context.path) for context in iter_route_contexts(native.routes)]
    *own, rest = paths
    if rest:
        raise RuntimeError(f"MLflow's last route is {rest}, not the one that leads to Flask")
    return tuple({path.partition("{")[0] for path in own})
