"""Scientists at work: each logs epochs through MLflow's own client, as fast as the server lets it.

`python -m benchmarks.clients`. An epoch is a batch of five metrics. The clients run on the same
cores as the servers and take most of them, so a real server carries more of them than this one.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Barrier

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from .servers import FOLDER, Server, opened

EPOCHS = {1: 200, 4: 200, 16: 100, 64: 25}
"""That each logs, by the number of scientists."""

PATIENCE_SECONDS = 30
"""After which a scientist begins no further epoch."""

PROCESSES = 2
"""That the scientists are threads of: an MLflow for each of 64 would take 10 GiB."""

SETTINGS = {
    "as it comes": {},
    "logs in the background": {"MLFLOW_ENABLE_ASYNC_LOGGING": "true"},
}
"""Of the client, by what they are for."""


@dataclass(frozen=True)
class Work:
    """What scientists have done together."""

    rate: float
    """Epochs per second, until the last of them was on the server."""
    cpu: float
    """Milliseconds of the server's CPU for an epoch."""
    p50: float
    """Milliseconds that training stood still for an epoch."""
    p99: float
    lost: int
    """Epochs that were refused, or never begun."""


def train(client: MlflowClient, epochs: int, run: str) -> list[float]:
    """How long training stood still for each epoch."""
    times, under_way = [], []
    until = time.monotonic() + PATIENCE_SECONDS
    for epoch in range(epochs):
        now = int(time.time() * 1000)
        metrics = [Metric(f"metric-{n}", epoch / 7, now, epoch) for n in range(5)]
        began = time.perf_counter()
        try:
            under_way.append(client.log_batch(run, metrics))
        except MlflowException as error:
            print(error, file=sys.stderr)
        times.append(time.perf_counter() - began)
        if time.monotonic() > until:
            break
    for each in under_way:
        if each is not None:  # it is None where the client has waited by itself
            each.wait()
    return times


def prepare(settings: dict[str, str], all_there: Barrier) -> None:
    """Wait until every process has imported MLflow."""
    os.environ.update(settings)
    all_there.wait()


def laboratory(uri: str, scientists: int, epochs: int) -> tuple[float, list[float], int]:
    """The scientists of one process: seconds, times, and epochs that are on the server."""
    client = MlflowClient(uri)
    runs = [client.create_run("0").info.run_id for _ in range(scientists)]
    began = time.perf_counter()
    with ThreadPoolExecutor(scientists) as threads:
        times = [*threads.map(partial(train, client, epochs), runs)]
    seconds = time.perf_counter() - began
    logged = sum(len(client.get_metric_history(run, "metric-0")) for run in runs)
    return seconds, [each for part in times for each in part], logged


def work(server: Server, scientists: int, settings: dict[str, str]) -> Work:
    """What so many scientists do."""
    processes = min(scientists, PROCESSES)
    each = scientists // processes
    spawn = multiprocessing.get_context("spawn")
    # In real life a scientist has a process, and so a connection, of their own.
    settings = settings | {"MLFLOW_HTTP_POOL_MAXSIZE": str(each)}
    before = server.cpu()
    with ProcessPoolExecutor(
        processes, spawn, prepare, (settings, spawn.Barrier(processes))
    ) as pool:
        task = partial(laboratory, f"http://127.0.0.1:{server.port}", each, EPOCHS[scientists])
        done = [part.result() for part in [pool.submit(task) for _ in range(processes)]]
    times = sorted(each for _, part, _ in done for each in part)
    logged = sum(logged for _, _, logged in done)
    return Work(
        rate=logged / max(seconds for seconds, _, _ in done),
        cpu=(server.cpu() - before) * 1000 / max(logged, 1),
        p50=statistics.median(times) * 1000,
        p99=times[int(len(times) * 0.99)] * 1000,
        lost=scientists * EPOCHS[scientists] - logged,
    )


def measure(rounds: int) -> list[str]:
    """Rows of the table: medians, and the sum of what was lost."""
    rows = []
    with opened() as servers:
        for name, settings in SETTINGS.items():
            for scientists in EPOCHS:
                seen: dict[str, list[Work]] = {each: [] for each in servers}
                for number in range(rounds):
                    for each in sorted(servers, reverse=number % 2 == 0):
                        seen[each].append(work(servers[each], scientists, settings))
                for each, works in seen.items():
                    rate, cpu, p50, p99 = (
                        statistics.median(getattr(one, what) for one in works)
                        for what in ("rate", "cpu", "p50", "p99")
                    )
                    rows.append(
                        f"| {scientists} | {name} | {each} | {rate:.0f} | {cpu:.1f} | {p50:.1f} "
                        f"| {p99:.1f} | {sum(one.lost for one in works)} |"
                    )
                    print(rows[-1], file=sys.stderr)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    rows = measure(parser.parse_args().rounds)
    heading = "| scientists | client | server | epochs/s | CPU ms | p50 ms | p99 ms | lost |"
    table = "\n".join([heading, "|--:|---|---|--:|--:|--:|--:|--:|", *rows, ""])
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "clients.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
