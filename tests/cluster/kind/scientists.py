"""Scientists at work: clients of a tracking server, in a pod.

`python scientists.py write URI` logs until it is ended, and never tries a request again;
`python scientists.py train URI` does the same with MLflow's client, which does. `python
scientists.py mixed URI` does what teams do, and ends; `python scientists.py big URI` sends a file
larger than a server's memory, and reads it back. Each line of the output is all that was counted
until then, as JSON. But for `train`, it needs nothing but `requests`, which is what MLflow's client
sends its requests with.
"""

import hashlib
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

WRITERS = 12
PAUSE_SECONDS = 0.6
"""At most, between two requests: most connections are kept and idle, as in training."""
REPORT_SECONDS = 0.5
ANSWER_SECONDS = 30
POLL_SECONDS = 0.2
EXPERIMENT = "0"

BIG_MIB = 1536
BIG_SECONDS = 300

ROUNDS = 2
METRICS = 100
ARTIFACT_MIB = 32
MIXED: dict[str, int] = {"metrics": 4, "batches": 2, "searches": 2, "artifacts": 6}
"""How many scientists do what at once; each does it in rounds."""
TIMES = {"metrics": 30, "batches": 6, "searches": 6, "artifacts": 1}
"""How often in a round."""


@dataclass
class Count:
    """What came of the requests so far."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Writes that were acknowledged, and then were not there."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self) -> None:
        """One request was answered as it should be."""
        with self.lock:
            self.answered += 1

    def fail(self, what: str) -> None:
        """One was not."""
        with self.lock:
            self.failures.append(f"{time.time():.2f} {what}")

    def report(self) -> None:
        """Print it."""
        with self.lock:
            told = {"answered": self.answered, "failures": self.failures, "missing": self.missing}
            print(json.dumps(told), flush=True)


class Scientist:
    """One connection at a time, kept as long as the server keeps it."""

    def __init__(self, uri: str, count: Count) -> None:
        self.uri, self.count = uri, count
        self.session = requests.Session()  # with no retries, unless one mounts an adapter

    def ask(self, method: str, path: str, **options: Any) -> requests.Response | None:
        """Send one request; nothing means that it failed, and counts as that."""
        try:
            answer = self.session.request(
                method, f"{self.uri}/api/2.0/{path}", **{"timeout": ANSWER_SECONDS, **options}
            )
            answer.raise_for_status()
        except requests.RequestException as failure:
            said = failure.response.text[:300] if failure.response is not None else ""
            self.count.fail(f"{method} {path}: {failure!r} {said}")
            return None
        self.count.answer()
        return answer

    def begin(self) -> str:
        """Create a run, which has to work."""
        created = self.ask("POST", "mlflow/runs/create", json={"experiment_id": EXPERIMENT})
        assert created is not None, self.count.failures
        return str(created.json()["run"]["info"]["run_id"])

    def log(self, run: str, step: int) -> bool:
        """Log one value of a metric, and say whether that was acknowledged."""
        metric = {"key": "loss", "value": step, "timestamp": step, "step": step}
        path = "mlflow/runs/log-metric"
        return self.ask("POST", path, json={"run_id": run, **metric}) is not None

    def steps(self, run: str) -> set[int]:
        """Read which steps were logged."""
        found: set[int] = set()
        page = ""
        while True:
            wanted = {"run_id": run, "metric_key": "loss", "max_results": 5000, "page_token": page}
            answer = self.ask("GET", "mlflow/metrics/get-history", params=wanted)
            assert answer is not None, self.count.failures
            history = answer.json()
            found |= {int(metric["step"]) for metric in history.get("metrics", [])}
            page = history.get("next_page_token", "")
            if not page:
                return found


class Trainer(Scientist):
    """Logs as a training program does: with MLflow's client, and as often as that tries."""

    def __init__(self, uri: str, count: Count) -> None:
        from mlflow import MlflowClient  # it takes seconds, which nobody else has to wait

        super().__init__(uri, count)
        self.client = MlflowClient(uri)

    def begin(self) -> str:
        """Create a run, which has to work."""
        return str(self.client.create_run(EXPERIMENT).info.run_id)

    def log(self, run: str, step: int) -> bool:
        """Log one value of a metric, and say whether that was acknowledged."""
        try:
            self.client.log_metric(run, "loss", step, step=step)
        except Exception as failure:
            self.count.fail(f"log_metric: {failure!r}")
            return False
        self.count.answer()
        return True

    def steps(self, run: str) -> set[int]:
        """Read which steps were logged."""
        return {metric.step for metric in self.client.get_metric_history(run, "loss")}


def arrive(uri: str) -> None:
    """Wait until the way is open: the rules of a network take a moment to know a new pod."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        try:
            requests.get(f"{uri}/health", timeout=ANSWER_SECONDS).raise_for_status()
        except requests.RequestException:
            time.sleep(POLL_SECONDS)
        else:
            return
    sys.exit(f"there is no way to {uri}")


def write(who: type[Scientist], uri: str, enough: threading.Event, count: Count) -> None:
    """Log step after step, then read what was acknowledged."""

    def work() -> None:
        scientist = who(uri, count)
        run = scientist.begin()
        acknowledged: set[int] = set()
        for step in itertools.count():
            if enough.wait(random.uniform(0, PAUSE_SECONDS)):  # noqa: S311
                break
            if scientist.log(run, step):
                acknowledged.add(step)
        lost = acknowledged - scientist.steps(run)
        with count.lock:
            count.missing += [f"step {step} of {run}" for step in sorted(lost)]

    together(count, [work] * WRITERS)


def mixed(uri: str, count: Count) -> None:
    """Log metrics one by one and many at once, search, upload and download, all at once."""
    content = os.urandom(ARTIFACT_MIB * 2**20)

    def metrics(scientist: Scientist, run: str, number: int) -> None:
        scientist.log(run, number)

    def batches(scientist: Scientist, run: str, number: int) -> None:
        many = [
            {"key": f"metric-{key}", "value": key, "timestamp": number, "step": number}
            for key in range(METRICS)
        ]
        scientist.ask("POST", "mlflow/runs/log-batch", json={"run_id": run, "metrics": many})

    def searches(scientist: Scientist, _: str, __: int) -> None:
        wanted = {"experiment_ids": [EXPERIMENT], "max_results": 50}
        scientist.ask("POST", "mlflow/runs/search", json=wanted)

    def artifacts(scientist: Scientist, run: str, number: int) -> None:
        path = f"mlflow-artifacts/artifacts/{EXPERIMENT}/{run}/artifacts/model-{number}.bin"
        scientist.ask("PUT", path, data=content)
        there = scientist.ask("GET", path)
        if there is not None and there.content != content:
            with count.lock:
                count.missing.append(path)

    does = {"metrics": metrics, "batches": batches, "searches": searches, "artifacts": artifacts}

    def working(what: str) -> Callable[[], None]:
        def work() -> None:
            scientist = Scientist(uri, count)
            run = scientist.begin()
            for number in range(ROUNDS * TIMES[what]):
                does[what](scientist, run, number)

        return work

    together(count, [working(what) for what, people in MIXED.items() for _ in range(people)])


class Big:
    """A file that nobody has to keep: it can be made again, block by block."""

    def __init__(self) -> None:
        self.blocks = (
            hashlib.sha256(str(number).encode()).digest() * (2**20 // 32)
            for number in range(BIG_MIB)
        )

    def __len__(self) -> int:
        return BIG_MIB * 2**20

    def read(self, _: int = -1) -> bytes:
        """Return the next block."""
        return next(self.blocks, b"")


def big(uri: str, count: Count) -> None:
    """Upload a large file, and download it again."""

    def work() -> None:
        scientist = Scientist(uri, count)
        run = scientist.begin()
        path = f"mlflow-artifacts/artifacts/{EXPERIMENT}/{run}/artifacts/big.bin"
        scientist.ask("PUT", path, data=Big(), timeout=BIG_SECONDS)
        there = scientist.ask("GET", path, stream=True, timeout=BIG_SECONDS)
        if there is not None:
            same = all(there.raw.read(len(block)) == block for block in Big().blocks)
            if not same or there.raw.read(1):
                with count.lock:
                    count.missing.append(path)

    together(count, [work])


def together(count: Count, tasks: list[Callable[[], None]]) -> None:
    """Do all at once, and report until they are done."""
    broken: list[BaseException] = []

    def watched(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as problem:
            broken.append(problem)
            raise

    threads = [threading.Thread(target=watched, args=[task]) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(REPORT_SECONDS)
            count.report()
    count.report()
    if broken:
        sys.exit(1)


if __name__ == "__main__":
    enough = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: enough.set())
    _, what, uri = sys.argv
    arrive(uri)
    writers = {"write": Scientist, "train": Trainer}
    if what in writers:
        write(writers[what], uri, enough, Count())
    else:
        {"mixed": mixed, "big": big}[what](uri, Count())
