"""MLflow's app with a login, in a process of its own and without a port: plain, or ours.

`python -m tests.local.login_app 5 6` imports MLflow, which takes seconds, once for an app behind
each of these sockets. A line of JSON says which one it is, and what its environment is; each later
line is a request, and is answered with one.
"""

import asyncio
import json
import logging
import os
import socket
import sys
import urllib.parse
from base64 import b64encode
from functools import partial
from typing import Any

import uvicorn  # noqa: F401  # before MLflow, which looks for it
from mlflow.server import app as flask_app
from werkzeug.security import generate_password_hash

from server.auth.config_file import write_config_file

from .two_stores import dice

HOST = "127.0.0.1"

quick_hash = partial(generate_password_hash, method="pbkdf2:sha256:1")
"""As good as MLflow's, and a thousand times as fast to make and to compare."""


def made(kind: str) -> Any:
    """The app, as uvicorn would be given it."""
    file = write_config_file()
    from mlflow.server import auth
    from mlflow.server.auth import sqlalchemy_store

    file.unlink()
    vars(sqlalchemy_store).update(generate_password_hash=quick_hash)
    if kind == "stock":
        return auth.create_app()
    from server.store.plugin import register

    register()
    from server.auth import app

    return app.served


def routes(native: Any) -> list[list[str]]:
    """Method and path of all that either app answers."""
    flask = [(m, rule.rule) for rule in flask_app.url_map.iter_rules() for m in rule.methods or ()]
    fast = [(m, r.path) for r in native.routes for m in getattr(r, "methods", None) or ()]
    return sorted([m, path] for m, path in {*flask, *fast} if m not in ("HEAD", "OPTIONS"))


async def ask(app: Any, number: int, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request."""
    body = request.get("body", "").encode()
    headers = [
        (b"host", HOST.encode()),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    login = request.get("login")
    if isinstance(login, str):
        headers.append((b"authorization", login.encode()))
    elif login:
        headers.append((b"authorization", b"Basic " + b64encode(":".join(login).encode())))
    path, _, query = request["path"].partition("?")
    sent: list[dict[str, Any]] = []
    asked = iter([{"type": "http.request", "body": body, "more_body": False}])
    answered = asyncio.Event()

    async def receive() -> dict[str, Any]:
        for part in asked:
            return part
        # Whoever goes away sooner may find the answer cut short.
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            answered.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request["method"],
        "scheme": "http",
        "path": urllib.parse.unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": (HOST, 1),
        "server": (HOST, 80),
    }
    with dice(number):
        await app(scope, receive, send)
    start, *rest = sent
    named = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return {
        "status": start["status"],
        "type": named.get("content-type"),
        "login": named.get("www-authenticate"),
        "body": b"".join(each.get("body", b"") for each in rest).decode(errors="replace"),
    }


async def serve(asking: socket.socket) -> None:
    """Answer until nobody asks any more, one after the other."""
    with asking.makefile("rw") as lines:

        def say(something: Any) -> None:
            print(json.dumps(something), file=lines, flush=True)

        kind, environment = json.loads(lines.readline())
        os.environ.update(environment)
        app = made(kind)
        logging.disable()
        say(routes(getattr(app, "_native", app)))
        for number, line in enumerate(lines):
            say(await ask(app, number, json.loads(line)))


def main() -> None:
    """Be as many as there are sockets, of which each has its own, so that its end is noticed."""
    sockets = [socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:]]
    for mine in sockets:
        if os.fork() == 0:
            for other in sockets:
                if other is not mine:
                    other.close()
            asyncio.run(serve(mine))
            # To take down all of MLflow takes seconds, and nobody waits for anything of it.
            os._exit(0)
    for each in sockets:
        each.close()
    for _ in sockets:
        os.wait()


if __name__ == "__main__":
    main()
