"""Servers to measure, what is asked of them, and what they take for it."""

import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from components.local.object_store import BUCKET, ObjectStoreService
from components.local.process import Process
from components.local.server import INHERITED, PROJECT, START_SECONDS
from server.spec import SIZES, Engine, ServerSpec
from tests.local.databases import equal_databases
from tests.local.stack import free_ports

FOLDER = PROJECT / ".local" / "benchmarks"
SIZE = SIZES["small"]
EXPERIMENT = "1"
RUNS = 1000
RUN = "f" * 32
API = "/api/2.0/mlflow"
HEADERS = {"Content-Type": "application/json"}
ARTIFACT = b"x" * 100_000_000

CONTENT = f"""
INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage)
VALUES ({EXPERIMENT}, 'bench', 'mlflow-artifacts:/{EXPERIMENT}', 'active');
INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, lifecycle_stage,
    artifact_uri, experiment_id)
SELECT run, 'run', 'UNKNOWN', 'me', 'FINISHED', 1, 'active', 'mlflow-artifacts:/' || run,
    {EXPERIMENT}
FROM (SELECT md5(n::text) AS run FROM generate_series(1, {RUNS}) AS n UNION SELECT '{RUN}') AS made;
INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan)
SELECT run_uuid, 'metric-' || n, n / 7.0, 1, n, false
FROM runs, generate_series(1, 100) AS n WHERE n <= 10 OR run_uuid = '{RUN}';
INSERT INTO params (run_uuid, key, value)
SELECT run_uuid, 'param-' || n, n FROM runs, generate_series(1, 5) AS n;
INSERT INTO tags (run_uuid, key, value)
SELECT run_uuid, 'tag-' || n, n FROM runs, generate_series(1, 5) AS n;
ANALYZE"""  # noqa: S608


@dataclass(frozen=True)
class Operation:
    """One kind of request."""

    name: str
    method: str
    path: str
    body: Callable[[int], bytes | None]
    count: int = 1
    """Requests in a round."""
    connections: int = 4


def _json(**values: object) -> bytes:
    return json.dumps(values).encode()


def _metric(n: int) -> dict[str, object]:
    return {"key": f"loss-{n % 100}", "value": n / 3, "timestamp": n, "step": n}


def _search(results: int) -> Callable[[int], bytes]:
    return lambda _: _json(experiment_ids=[EXPERIMENT], max_results=results)


UPLOAD = Operation(
    "artifact, 100 MB up",
    "PUT",
    "/api/2.0/mlflow-artifacts/artifacts/bench/file",
    lambda _: ARTIFACT,
    1,
    1,
)
OPERATIONS = [
    Operation("log-metric, one client", "POST", f"{API}/runs/log-metric",
              lambda n: _json(run_id=RUN, **_metric(n)), 100, 1),
    Operation("log-metric", "POST", f"{API}/runs/log-metric",
              lambda n: _json(run_id=RUN, **_metric(n)), 300),
    Operation("log-batch of 100", "POST", f"{API}/runs/log-batch",
              lambda n: _json(run_id=RUN, metrics=[_metric(n * 100 + i) for i in range(100)]), 60),
    Operation("runs/create", "POST", f"{API}/runs/create",
              lambda n: _json(experiment_id="0", start_time=n,
                              tags=[{"key": "mlflow.user", "value": "me"}]), 100),
    Operation("runs/get", "GET", f"{API}/runs/get?run_id={RUN}", lambda _: None, 100),
    Operation("runs/search 50", "POST", f"{API}/runs/search", _search(50), 30),
    Operation("runs/search 1,000", "POST", f"{API}/runs/search", _search(1000), 4, 2),
    Operation("experiments/search", "POST", f"{API}/experiments/search",
              lambda _: _json(max_results=100), 100),
    Operation("page", "GET", "/", lambda _: None, 100),
    Operation("probe", "GET", "/health", lambda _: None, 100),
    UPLOAD,
    Operation("artifact, 100 MB down", "GET", "/api/2.0/mlflow-artifacts/artifacts/bench/file",
              lambda _: None, 1, 1),
]  # fmt: skip


class Server:
    """One server, with all processes that belong to it."""

    headers = HEADERS

    def __init__(self, port: int, process: psutil.Process, scratch: Path, database: str) -> None:
        self.port = port
        self.scratch = scratch
        """Where it keeps what it keeps for a moment."""
        self.database = database
        """The URL."""
        self._process = process
        self._sent = 0
        self.start_cpu = self.cpu()

    def _tree(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def cpu(self) -> float:
        """Seconds so far, of processes that have ended too."""
        return sum(sum(each.cpu_times()[:4]) for each in self._tree())

    def memory_mib(self) -> float:
        """A page that several processes share counts once."""
        return sum(each.memory_full_info().pss for each in self._tree()) / 2**20

    def own_memory_mib(self) -> float:
        """Without files: of those a process has the less, the more others read them too."""
        rolled_up = (Path(f"/proc/{each.pid}/smaps_rollup").read_text() for each in self._tree())
        lines = (line.split() for text in rolled_up for line in text.splitlines())
        return sum(int(words[1]) for words in lines if words[0] == "Pss_Anon:") / 1024

    def open_files(self) -> int:
        """Of all processes, connections included."""
        return sum(each.num_fds() for each in self._tree())

    def growth_mib(self, operation: Operation) -> float:
        """What memory grows by at most while it is under load, for each connection."""
        most = before = self.memory_mib()
        with ThreadPoolExecutor(1) as background:
            loading = background.submit(self.load, operation)
            while not loading.done():
                most = max(most, self.memory_mib())
            loading.result()
        return (most - before) / operation.connections

    def load(self, operation: Operation) -> "Load":
        """Send one round of requests."""
        return self.send([operation] * operation.count, operation.connections)

    def send(self, operations: Sequence[Operation], connections: int) -> "Load":
        """Send requests, each client its share of them."""
        numbered = [*enumerate(operations, self._sent)]
        self._sent += len(operations)
        shares = [numbered[each::connections] for each in range(connections)]
        cpu, began = self.cpu(), time.perf_counter()
        with ThreadPoolExecutor(connections) as clients:
            done = list(clients.map(self._client, shares))
        seconds = time.perf_counter() - began
        times = sorted(each for client in done for each in client)
        return Load(
            cpu=(self.cpu() - cpu) * 1000 / len(operations),
            rate=len(operations) / seconds,
            p50=statistics.median(times) * 1000,
            p99=times[int(len(times) * 0.99)] * 1000,
        )

    def _client(self, share: Sequence[tuple[int, Operation]]) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        times = []
        for number, operation in share:
            body = operation.body(number)
            began = time.perf_counter()
            connection.request(operation.method, operation.path, body, self.headers)
            answer = connection.getresponse()
            content = answer.read()
            times.append(time.perf_counter() - began)
            if answer.status != 200:
                raise RuntimeError(f"{operation.name}: {answer.status} {content[:500]!r}")
        connection.close()
        return times


@dataclass(frozen=True)
class Load:
    """What a round has cost."""

    cpu: float
    """Seconds per 1,000 requests."""
    rate: float
    """Requests per second."""
    p50: float
    """Milliseconds."""
    p99: float


@contextmanager
def running(
    command: list[str], environment: dict[str, str], port: int, database: str
) -> Iterator[Server]:
    """A server, from its first answer on."""
    inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        process = psutil.Popen(
            command,
            cwd=folder,
            env=inherited | {"PYTHONPATH": str(PROJECT), "TMPDIR": str(scratch)} | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + START_SECONDS
        try:
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((Path(folder) / "log").read_text())
                time.sleep(0.2)
            yield Server(port, process, scratch, database)
        finally:
            left = process.children(recursive=True)
            process.terminate()
            process.wait(60)
            for each in left:
                with suppress(psutil.NoSuchProcess):
                    each.kill()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with suppress(OSError):
        search = f"{API}/experiments/search"
        connection.request("POST", search, _json(max_results=1), HEADERS)
        return connection.getresponse().status in (200, 401)
    return False


PLAIN = "--uvicorn-opts=--loop asyncio --http h11"
"""What uvicorn takes where MLflow alone is installed. Beside us it would find our faster ones."""


@contextmanager
def bucket() -> Iterator[dict[str, str]]:
    """What tells a server of an empty object store, which is there for a moment."""
    folder = Path(tempfile.mkdtemp(prefix="mlflow-platform-"))
    process = Process("The object store", folder)
    process.new_log()
    (port,) = free_ports(1)
    try:
        store = ObjectStoreService().start(process, {"port": port})
        yield {"STORAGE_EMULATOR_HOST": store["endpoint"]}
    finally:
        process.stop(signal.SIGTERM)
        shutil.rmtree(folder)


@contextmanager
def opened(names: Sequence[Engine] = ("stock", "tuned")) -> Iterator[dict[str, Server]]:
    """MLflow's server as it comes, but for the number of workers, and ours; or one of them."""
    python = Path(sys.executable)
    with ExitStack() as stack:
        urls = stack.enter_context(equal_databases(names, content=CONTENT))
        objects = stack.enter_context(bucket())
        *ports, metrics = free_ports(len(names) + 1)
        servers = {}
        for name, url, port in zip(names, urls, ports, strict=True):
            spec = ServerSpec(
                size=SIZE, host="127.0.0.1", port=port, names=("127.0.0.1",), metrics=metrics
            )
            stores = spec.stores(url, f"gs://{BUCKET}/{name}") | objects
            plain = ["mlflow", "server", f"--port={port}", f"--workers={SIZE.workers}", PLAIN]
            program, *arguments = plain if name == "stock" else spec.command()
            environment = {} if name == "stock" else spec.environment()
            command = [str(python.with_name(program)), *arguments]
            server = running(command, environment | stores, port, url)
            servers[str(name)] = stack.enter_context(server)
        yield servers
