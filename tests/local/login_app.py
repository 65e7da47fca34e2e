"""MLflow's app with a login, in a process of its own and without a socket: plain, or ours.

`python -m tests.local.login_app stock|tuned` reads requests as lines of JSON and writes answers.
"""

import asyncio
import json
import logging
import sys
import urllib.parse
from base64 import b64encode
from typing import Any

import uvicorn  # noqa: F401  # before MLflow, which looks for it
from mlflow.server import app as flask_app

from server.auth.config_file import write_config_file

from .two_stores import dice

HOST = "127.0.0.1"


def made(kind: str) -> Any:
    """The app, as uvicorn would be given it."""
    file = write_config_file(password_seconds=60)
    from mlflow.server import auth

    file.unlink()
    if kind == "stock":
        return auth.create_app()
    from server.store.plugin import register

    register()
    from server.auth import app

    return app.served


def routes(native: Any) -> list[list[str]]:
    """Method and path of all that either app answers."""
    flask = [(m, rule.rule) for rule in flask_app.url_map.iter_rules() for m in rule.methods or ()]
    fast = [(m, r.path) for r in native.routes if hasattr(r, "methods") for m in r.methods]
    return sorted([m, path] for m, path in {*flask, *fast} if m not in ("HEAD", "OPTIONS"))


async def ask(app: Any, number: int, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request."""
    body = request.get("body", "").encode()
    headers = [
        (b"host", HOST.encode()),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if login := request.get("login"):
        headers.append((b"authorization", b"Basic " + b64encode(":".join(login).encode())))
    path, _, query = request["path"].partition("?")
    sent: list[dict[str, Any]] = []
    asked = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(asked, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

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


def main() -> None:
    """Answer until nobody asks any more."""
    app = made(sys.argv[1])
    logging.disable()
    native = getattr(getattr(app, "_app", app), "_native", app)
    print(json.dumps(routes(native)), flush=True)
    with asyncio.Runner() as runner:
        for number, line in enumerate(sys.stdin):
            answer = runner.run(ask(app, number, json.loads(line)))
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
