"""What a server tells Prometheus, with workers that share a port and do not share a process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from server import metrics_contract
from server.spec import CONNECTION, SIZES, ServerSpec
from tests.local.eventually import eventually
from tests.local.stack import free_ports
from tools.project import ROOT

pytestmark = pytest.mark.skipif(not psutil.LINUX, reason="workers are forks on Linux only")

SPEC = ServerSpec(size=SIZES["small"], host="127.0.0.1", port=0, names=())
APP = """\
from server.routes import note

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/broken":
        raise ZeroDivisionError
    if scope["path"] == "/known":
        note("/known")
    headers = [(b"content-length", b"2"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})
"""
LAUNCH = """\
import os, sys
from server.launch import counting, serve
from server.metrics_contract import PORT
with counting(os.environ[PORT]):
    serve(sys.argv, extra_env={})
"""


@dataclass
class Server:
    """A launcher with its workers, in a folder for its files."""

    process: subprocess.Popen[bytes]
    port: int
    metrics: int
    folder: Path

    def ask(self, path: str) -> int:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=60).status_code

    def told(self) -> dict[str, float]:
        """What it tells, but for the times."""
        answer = requests.get(f"http://127.0.0.1:{self.metrics}/metrics", timeout=60)
        lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def requests(self, method: str, route: str, status: int) -> float:
        labels = f'method="{method}",route="{route}",status="{status}"'
        return self.told().get(f"http_requests_total{{{labels}}}", 0)

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "small.py").write_text(APP)
    port, metrics = free_ports(2)
    environment = {
        **os.environ,
        **SPEC.environment(),
        metrics_contract.PORT: str(metrics),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        "TMPDIR": str(tmp_path),
    }
    uvicorn = ["uvicorn", "--workers=2", f"--port={port}", "--http", CONNECTION, "small:app"]
    program = [sys.executable, "-c", LAUNCH, "-m", *uvicorn]
    with subprocess.Popen(program, env=environment) as process:
        try:
            started = Server(process, port, metrics, tmp_path)
            eventually(lambda: answers(started))
            yield started
        finally:
            process.terminate()


def answers(server: Server) -> bool:
    try:
        return server.ask("/") == 200 and bool(server.told())
    except requests.ConnectionError:
        return False


def test_whichever_worker_is_asked_tells_of_all_and_of_the_dead(server):
    before = server.requests("GET", "/known", 200)
    for _ in range(20):
        assert server.ask("/known") == 200
    assert {server.requests("GET", "/known", 200) for _ in range(8)} == {before + 20}

    dead = server.workers()
    for worker in dead:
        worker.send_signal(signal.SIGKILL)
    eventually(lambda: len(server.workers()) == 2 and not set(dead) & set(server.workers()))
    eventually(lambda: answers(server))
    assert server.ask("/known") == 200
    assert server.requests("GET", "/known", 200) == before + 21


def test_an_answer_that_fails_is_a_500_and_what_has_no_route_is_one_name(server):
    assert server.ask("/broken") == 500
    for path in ("/a", "/b"):
        assert server.ask(path) == 200

    told = server.told()
    routes = {name for name in told if name.startswith("http_request_duration_seconds_count")}
    assert routes == {'http_request_duration_seconds_count{route="other"}'}
    assert server.requests("GET", "other", 500) == 1
    assert "mlflow_database_wait_seconds_total" in told


def test_the_metrics_have_a_port_of_their_own_where_nothing_else_is(server):
    answered = requests.get(f"http://127.0.0.1:{server.port}/metrics", timeout=60)
    assert answered.text == "ok", "the app's own answer"
    assert server.requests("GET", "other", 200) > 0
    elsewhere = requests.get(f"http://127.0.0.1:{server.metrics}/known", timeout=60)
    assert "http_requests_total" in elsewhere.text


def test_no_file_is_left_when_it_ends(server):
    assert list(server.folder.glob("metrics-*"))

    server.process.terminate()
    server.process.wait(timeout=60)

    assert not list(server.folder.glob("metrics-*"))
