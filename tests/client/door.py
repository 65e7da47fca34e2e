"""A tracking server behind a login: turns others away as MLflow's own app does."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

OPEN = ("/health",)


@dataclass
class Door:
    """One user's way in."""

    uri: str
    forbidden: set[str] = field(default_factory=set)
    """Paths that even this user may not ask for."""


def handler(door: Door, server: str, login: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.partition("?")[0]
            if path not in OPEN and self.headers["Authorization"] != login:
                self.answer(401, b"You are not authenticated.")
            elif path in door.forbidden:
                self.answer(403, b"Permission denied")
            else:
                kept = {k: v for k, v in self.headers.items() if k in ("Content-Type", "Accept")}
                answer = requests.request(
                    self.command, f"{server}{self.path}", data=body, headers=kept, timeout=60
                )
                kind = answer.headers.get("Content-Type", "text/html")
                self.answer(answer.status_code, answer.content, kind)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

        def answer(self, code: int, body: bytes, kind: str = "text/html") -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def before(server: str, user: str, password: str) -> Iterator[Door]:
    """Open one on loopback."""
    login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    door = Door("")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(door, server, login)) as listening:
        door.uri = f"http://127.0.0.1:{listening.server_port}"
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield door
        finally:
            listening.shutdown()
