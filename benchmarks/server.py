"""Our server beside `mlflow server` as it comes: same Postgres, same cores, same moment.

The two are loaded in turns, so that what else the machine does meets both. What counts is the
median of the rounds' ratios; a single figure says as much about the machine.
"""

import argparse
import http.client
import json
import os
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

from components.local.server import INHERITED, PROJECT, START_SECONDS
from server.spec import SIZES, ServerSpec
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
    count: int
    """Requests in a round."""
    connections: int = 4


def _json(**values: object) -> bytes:
    return json.dumps(values).encode()


def _metric(n: int) -> dict[str, object]:
    return {"key": f"loss-{n % 100}", "value": n / 3, "timestamp": n, "step": n}


def _search(results: int) -> Callable[[int], bytes]:
    return lambda _: _json(experiment_ids=[EXPERIMENT], max_results=results)


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
    Operation("artifact, 100 MB up", "PUT", "/api/2.0/mlflow-artifacts/artifacts/bench/file",
              lambda _: ARTIFACT, 1, 1),
    Operation("artifact, 100 MB down", "GET", "/api/2.0/mlflow-artifacts/artifacts/bench/file",
              lambda _: None, 1, 1),
]  # fmt: skip


class Server:
    """One server, with all processes that belong to it."""

    def __init__(self, port: int, process: psutil.Process) -> None:
        self.port = port
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

    def load(self, operation: Operation) -> "Load":
        """Send one round of requests."""
        first, self._sent = self._sent, self._sent + operation.count
        shares = [
            range(first + each, first + operation.count, operation.connections)
            for each in range(operation.connections)
        ]
        cpu, began = self.cpu(), time.perf_counter()
        with ThreadPoolExecutor(operation.connections) as clients:
            done = list(clients.map(lambda share: self._client(operation, share), shares))
        seconds = time.perf_counter() - began
        times = sorted(each for client in done for each in client)
        return Load(
            cpu=(self.cpu() - cpu) * 1000 / operation.count,
            rate=operation.count / seconds,
            p50=statistics.median(times) * 1000,
            p99=times[int(len(times) * 0.99)] * 1000,
        )

    def _client(self, operation: Operation, numbers: Sequence[int]) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        times = []
        for number in numbers:
            body = operation.body(number)
            began = time.perf_counter()
            connection.request(operation.method, operation.path, body, HEADERS)
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
def running(command: list[str], environment: dict[str, str], port: int) -> Iterator[Server]:
    """A server, from its first answer on."""
    inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        process = psutil.Popen(
            command,
            cwd=folder,
            env=inherited | {"PYTHONPATH": str(PROJECT)} | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + START_SECONDS
        try:
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((Path(folder) / "log").read_text())
                time.sleep(0.2)
            yield Server(port, process)
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
        return connection.getresponse().status == 200
    return False


PLAIN = "--uvicorn-opts=--loop asyncio --http h11"
"""What uvicorn takes where MLflow alone is installed. Beside us it would find our faster ones."""


@contextmanager
def both() -> Iterator[dict[str, Server]]:
    """MLflow's server as it comes, but for the number of workers, and ours."""
    python = Path(sys.executable)
    with ExitStack() as stack:
        urls = stack.enter_context(equal_databases(["stock", "tuned"], content=CONTENT))
        ports = free_ports(2)
        servers = {}
        for name, url, port in zip(("stock", "tuned"), urls, ports, strict=True):
            spec = ServerSpec(size=SIZE, host="127.0.0.1", port=port, names=("127.0.0.1",))
            artifacts = stack.enter_context(tempfile.TemporaryDirectory())
            stores = spec.stores(url, artifacts)
            plain = ["mlflow", "server", f"--port={port}", f"--workers={SIZE.workers}", PLAIN]
            program, *arguments = plain if name == "stock" else spec.command()
            environment = {} if name == "stock" else spec.environment()
            servers[name] = stack.enter_context(
                running([str(python.with_name(program)), *arguments], environment | stores, port)
            )
        yield servers


def measure(rounds: int) -> list[tuple[str, float, float, float]]:
    """Rows of the table: what, MLflow's figure, ours, and how many times less that is."""
    table = []
    with both() as servers:
        stock, tuned = servers["stock"], servers["tuned"]
        table.append(_row("CPU to start, s", [(stock.start_cpu, tuned.start_cpu)]))
        table.append(_row("memory idle, MiB", [(stock.memory_mib(), tuned.memory_mib())]))
        for server in servers.values():  # what is done once, such as filling pools
            for operation in OPERATIONS:
                server.load(operation)
        loads: dict[str, list[tuple[Load, Load]]] = {each.name: [] for each in OPERATIONS}
        for number in range(rounds):
            for operation in OPERATIONS:
                order = [stock, tuned] if number % 2 == 0 else [tuned, stock]
                done = {id(server): server.load(operation) for server in order}
                loads[operation.name].append((done[id(stock)], done[id(tuned)]))
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for name, pairs in loads.items():
            table.append(_row(f"{name}: CPU s/1,000", [(a.cpu, b.cpu) for a, b in pairs]))
            table.append(_row(f"{name}: s/1,000", [(1e3 / a.rate, 1e3 / b.rate) for a, b in pairs]))
            table.append(_row(f"{name}: p50 ms", [(a.p50, b.p50) for a, b in pairs]))
            table.append(_row(f"{name}: p99 ms", [(a.p99, b.p99) for a, b in pairs]))
        table.append(_row("memory after, MiB", [(stock.memory_mib(), tuned.memory_mib())]))
    return table


def _row(name: str, pairs: list[tuple[float, float]]) -> tuple[str, float, float, float]:
    stock, tuned = (statistics.median(each) for each in zip(*pairs, strict=True))
    # A cell can be shorter than the clock's tick.
    return name, stock, tuned, statistics.median(a / max(b, 1e-9) for a, b in pairs)


def markdown(table: list[tuple[str, float, float, float]]) -> str:
    """The table for people."""
    lines = [f"| {n} | {a:.3g} | {b:.3g} | {ratio:.1f} |" for n, a, b, ratio in table]
    return "\n".join(["| | mlflow server | ours | times less |", "|---|--:|--:|--:|", *lines, ""])


def plot(table: list[tuple[str, float, float, float]], file: Path) -> None:
    """How many times less CPU."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    shown = [(n.removesuffix(": CPU s/1,000"), ratio) for n, _, _, ratio in table if "CPU" in n]
    names, ratios = zip(*reversed(shown), strict=True)
    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.bar_label(axes.barh(names, ratios), fmt="%.1f", padding=2)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("CPU of mlflow server, divided by ours")
    figure.tight_layout()
    figure.savefig(file)


def main() -> None:
    """Measure, print, and leave both in a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    table = measure(parser.parse_args().rounds)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "server.md").write_text(markdown(table))
    plot(table, FOLDER / "server.svg")
    print(markdown(table))
    print(f"{FOLDER}/server.md and server.svg")


if __name__ == "__main__":
    main()
