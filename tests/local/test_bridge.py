"""A server of ours answers as MLflow's own does, byte by byte."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import psutil
import pytest
import requests
from mlflow import MlflowClient

from .eventually import eventually
from .stack import free_ports

API, PAGES = "/api/2.0/mlflow", "/ajax-api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
BIG_BYTES = 5 * 2**20 + 1
NOWHERE = "0" * 32

QUERY = "query Run($run: String!) { mlflowGetRun(input: {runId: $run}) { run { info { runId } } } }"
HERE = {"Origin": "http://localhost:3000"}
ELSEWHERE = {"Origin": "https://elsewhere.example"}
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-a"}

VARIES = ("date", "content-length", "transfer-encoding", "etag", "last-modified", "expires")
"""Headers of the moment and of the connection. The length is compared with the content."""


def healthy(uri: str) -> bool:
    try:
        return requests.get(f"{uri}/health", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def stock(stack) -> Iterator[str]:
    """`mlflow server` as it comes, with the same stores and the same environment."""
    environment = psutil.Process(stack.pid("server")).environ()
    (port,) = free_ports(1)
    names = f"127.0.0.1:{port},127.0.0.1:{stack.ports['server']}"
    command = [sys.executable, "-m", "mlflow", "server", f"--port={port}", "--workers=1"]
    with subprocess.Popen(
        command, env=environment | {"MLFLOW_SERVER_ALLOWED_HOSTS": names}
    ) as process:
        uri = f"http://127.0.0.1:{port}"
        try:
            eventually(lambda: healthy(uri), seconds=120)
            yield uri
        finally:
            for each in psutil.Process(process.pid).children(recursive=True):
                each.terminate()
            process.terminate()


@pytest.fixture(scope="module")
def run(stack, tmp_path_factory) -> str:
    """A run with an artifact of some blocks, and one whose name is not plain."""
    folder: Path = tmp_path_factory.mktemp("artifacts")
    (folder / "big").write_bytes(bytes(range(256)) * (BIG_BYTES // 256) + b"x")
    (folder / "höhe & breite.txt").write_text("größer")
    client = MlflowClient(stack.uri)
    run: str = client.create_run(client.create_experiment("bridge")).info.run_id
    client.log_metric(run, "accuracy", float("nan"))
    client.log_artifacts(run, str(folder))
    return run


def main_script() -> str:
    static = Path(mlflow.__file__).parent / "server/js/build/static"
    return next(file.name for file in (static / "js").glob("main.*.js"))


def requested(run: str) -> dict[str, dict[str, Any]]:
    """Requests of every kind, by what they are."""
    search = {"url": f"{API}/runs/search", "json": {"experiment_ids": ["0"]}}
    artifact = {"run_uuid": run, "path": "big"}
    return {
        "the page": {"url": "/"},
        "the page's head": {"url": "/", "method": "HEAD"},
        "a script": {"url": f"/static-files/static/js/{main_script()}"},
        "a part of a script": {
            "url": f"/static-files/static/js/{main_script()}",
            "headers": {"Range": "bytes=5-99"},
        },
        "no such page": {"url": "/nothing?x=%C3%B6"},
        "no such file": {"url": "/static-files/../../__init__.py"},
        "health": {"url": "/health"},
        "health's head": {"url": "/health", "method": "HEAD"},
        "health by another method": {"url": "/health", "method": "POST"},
        "health by another name": {"url": "/health", "headers": {"Host": "elsewhere.example"}},
        "health for a page of another place": {"url": "/health", "headers": ELSEWHERE},
        "health for a page of this machine": {"url": "/health", "headers": HERE},
        "health of a workspace": {"url": "/health", "headers": {"X-MLflow-Workspace": "ours"}},
        "what begins like health": {"url": "/healthy"},
        "version": {"url": "/version"},
        "a run": {"url": f"{API}/runs/get", "params": {"run_id": run}},
        "a run that is not there": {"url": f"{API}/runs/get", "params": {"run_id": NOWHERE}},
        "a search": {**search, "method": "POST"},
        "a search of the page": {**search, "url": f"{PAGES}/runs/search", "method": "POST"},
        "a search by no rule": {
            "url": f"{API}/runs/search",
            "json": {"experiment_ids": ["0"], "filter": "x ="},
            "method": "POST",
        },
        "not JSON": {"url": f"{API}/runs/search", "data": b"{", "method": "POST"},
        "not what is asked for": {
            "url": f"{API}/runs/log-metric",
            "json": {"run_id": run, "key": "k", "value": "x"},
            "method": "POST",
        },
        "another method": {**search, "method": "PUT"},
        "a query": {
            "url": "/graphql",
            "json": {"operationName": "Run", "query": QUERY, "variables": {"run": run}},
            "method": "POST",
        },
        "a big artifact for the page": {"url": "/get-artifact", "params": artifact},
        "a small one": {
            "url": "/get-artifact",
            "params": {**artifact, "path": "höhe & breite.txt"},
        },
        "one that is not there": {"url": "/get-artifact", "params": {**artifact, "path": "none"}},
        "a list of artifacts": {"url": f"{API}/artifacts/list", "params": {"run_id": run}},
        "an artifact for a client": {"url": f"{ARTIFACTS}/nothing/there"},
        "a page of another place": {**search, "method": "POST", "headers": ELSEWHERE},
        "a page of this machine": {**search, "method": "POST", "headers": HERE},
        "may a page of another place": {
            "url": f"{PAGES}/runs/search",
            "method": "OPTIONS",
            "headers": ELSEWHERE | PREFLIGHT,
        },
        "may a page of this machine": {
            "url": f"{PAGES}/runs/search",
            "method": "OPTIONS",
            "headers": HERE | PREFLIGHT,
        },
    }


KINDS = list(requested(NOWHERE))


def answer(uri: str, request: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    asked = {"method": "GET", **request, "url": uri + request["url"]}
    answered = requests.request(timeout=60, allow_redirects=False, **asked)
    length = answered.headers.get("content-length")
    if asked["method"] != "HEAD" and length is not None:
        assert int(length) == len(answered.content)
    headers = {k.lower(): v for k, v in answered.headers.items() if k.lower() not in VARIES}
    if "allow" in headers:  # a set, and as such in no order
        headers["allow"] = ", ".join(sorted(headers["allow"].split(", ")))
    return {"status": str(answered.status_code), **headers}, answered.content


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_the_one_that_mlflow_gives(stack, stock, run, kind):
    request = requested(run)[kind]

    (ours, our_content), (mlflows, mlflows_content) = (
        answer(uri, request) for uri in (stack.uri, stock)
    )
    assert ours == mlflows
    assert our_content == mlflows_content


@pytest.mark.parametrize("path", ["/", f"{API}/runs/search"])
def test_whoever_calls_it_by_another_name_is_refused_in_the_same_words(stack, stock, path):
    request = {"url": path, "headers": {"Host": "elsewhere.example"}}
    (ours, our_content), (mlflows, mlflows_content) = (
        answer(uri, request) for uri in (stack.uri, stock)
    )

    assert ours["status"] == mlflows["status"] == "403"
    assert our_content == mlflows_content
