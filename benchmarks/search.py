"""Trials per minute with 1, 2 and 4 workers, and the requests that a trial costs the server.

`python -m benchmarks.search`. Trials sleep instead of fitting: what is measured is what Ray and the
bookkeeping add, on any machine. The first trials, which wait for workers to start, are left out.
Medians of three searches; four minutes.
"""

import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

TRAINING = Path(__file__).parents[1] / "training"
sys.path.insert(0, str(TRAINING))
# Workers find the modules of the entry point that started them, and this is none of `training/`.
os.environ["PYTHONPATH"] = str(TRAINING)

import distributed  # noqa: E402, F401  # says how Ray is to be, before it is imported
import search  # noqa: E402
import tracking  # noqa: E402
from course import Course  # noqa: E402
from device import Device  # noqa: E402
from forest import Forest  # noqa: E402
from tuning import Bounds  # noqa: E402

SECONDS = 2.0
"""What a trial takes."""

TRIALS_PER_WORKER = 8
REPEATS = 3
BOUNDS = Bounds(depth=6, trees=8)
METRICS = ("accuracy", "baseline_accuracy", "loss", "precision", "recall", "roc_auc", "fit_seconds")
REQUESTS = ("create_run", "update_run_info", "log_batch", "log_metric", "log_param", "set_tag")


def sleeping(
    learn: pd.DataFrame,
    validate: pd.DataFrame,
    settings: Forest,
    seed: int,
    stops: Sequence[int],
) -> Iterator[tuple[int, dict[str, float]]]:
    """Take as long as any other trial."""
    time.sleep(SECONDS)
    yield settings.n_estimators, dict.fromkeys(METRICS, 0.5)


@dataclass
class Clocked(Course):
    """Remembers when each trial ended."""

    ends: list[float] = field(default_factory=list)

    def note(self, number: int, metrics: Any, remark: str = "") -> None:
        """Tell of it without a word on the screen."""
        self.finished += 1
        self.best = max(self.best, metrics["accuracy"])
        mlflow.log_metrics({"trial_accuracy": 0.5, "best_accuracy": self.best}, step=self.finished)
        self.ends.append(time.perf_counter())


def rate(workers: int) -> float:
    """Trials per minute, once the workers are there."""
    empty = pd.DataFrame({"n": [0]})
    with tracking.run("benchmark", {}) as run:
        course = Clocked(run, workers * TRIALS_PER_WORKER)
        make = search.maker(workers, Device(kind="cpu", name="benchmark"))
        make(course, empty, empty, BOUNDS, seed=0, done=(), evaluate=sleeping)
    # From the end of each worker's first trial on.
    ends = course.ends[workers - 1 :]
    return 60 * (len(ends) - 1) / (ends[-1] - ends[0])


def requests() -> tuple[int, int]:
    """Count what a trial sends here, and what it sends where each value is logged by itself."""
    sent: list[str] = []

    def count(name: str, original: Any) -> Any:
        def counted(*args: Any, **named: Any) -> Any:
            sent.append(name)
            return original(*args, **named)

        return counted

    for name in REQUESTS:
        setattr(SqlAlchemyStore, name, count(name, getattr(SqlAlchemyStore, name)))
    with tracking.run("benchmark", {}) as run:
        course = Clocked(run, 1)
        sent.clear()
        with course.trial(1, Forest()) as child:
            child.metrics |= dict.fromkeys(METRICS, 0.5)
        course.note(1, child.metrics)
        ours = len(sent)
        sent.clear()
        with mlflow.start_run(nested=True):
            for name, value in vars(Forest()).items():
                mlflow.log_param(name, value)
            for name in METRICS:
                mlflow.log_metric(name, 0.5)
        for name in ("trial_accuracy", "best_accuracy"):
            mlflow.log_metric(name, 0.5)
        return ours, len(sent)


def main() -> None:
    """Print a table in Markdown, and the requests."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        print("| workers | trials per minute | ideal | efficiency |")
        print("|--:|--:|--:|--:|")
        for workers in (1, 2, 4):
            measured = statistics.median(rate(workers) for _ in range(REPEATS))
            ideal = 60 * workers / SECONDS
            print(
                f"| {workers} | {measured:.1f} | {ideal:.0f} | {measured / ideal:.0%} |", flush=True
            )
        ours, naive = requests()
        print(f"\nRequests per trial: {ours}; with one call for each value: {naive}.")


if __name__ == "__main__":
    from ray import cloudpickle

    # What this file defines travels to the workers, so that they need not import it.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    main()
