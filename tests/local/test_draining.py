"""A server that is told to stop, and a client that was just about to send."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from server.spec import CONNECTION, SIZES, ServerSpec
from tests.local.eventually import eventually
from tests.local.stack import free_ports
from tools.project import ROOT

SPEC = ServerSpec(size=SIZES["small"], host="127.0.0.1", port=0, names=())
APP = """\
async def app(scope, receive, send):
    if scope["type"] == "http":
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Uvicorn with the class that the pods name, and where it listens."""
    (tmp_path / "small.py").write_text(APP)
    (port,) = free_ports(1)
    program = [sys.executable, "-m", "uvicorn", "small:app", f"--port={port}", "--http", CONNECTION]
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    environment = {**os.environ, **SPEC.environment(), "PYTHONPATH": path}
    with subprocess.Popen(program, env=environment) as process:
        try:
            eventually(lambda: accepts(port))
            yield process, port
        finally:
            process.kill()


def accepts(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def asked(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"ok")
    return answer


def test_a_client_between_two_requests_is_answered_once_more_and_told_to_go(server):
    process, port = server
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as kept:
        assert asked(kept).getheader("connection") is None

        process.send_signal(signal.SIGTERM)
        eventually(lambda: not accepts(port))  # by then it has seen to its connections

        assert asked(kept).getheader("connection") == "close"
    process.wait(timeout=30)


def test_a_client_with_nothing_to_send_does_not_keep_the_server(server):
    process, port = server
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as idle:
        asked(idle)

        process.send_signal(signal.SIGTERM)

        process.wait(timeout=30)
