"""One trial of a search, here or in a worker of Ray's; knows nothing of MLflow."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

import device
from forest import Forest, grow

Evaluate = Callable[
    [pd.DataFrame, pd.DataFrame, Forest, int, Sequence[int]],
    Iterator[tuple[int, dict[str, float]]],
]
"""What a trial does: see `evaluate`."""


def evaluate(
    learn: pd.DataFrame,
    validate: pd.DataFrame,
    settings: Forest,
    seed: int = 0,
    stops: Sequence[int] = (),
) -> Iterator[tuple[int, dict[str, float]]]:
    """Fit a forest and tell its scores: at its end, and at each of the stops on the way."""
    import scores  # not at the top: it imports scikit-learn

    seconds, start = 0.0, time.perf_counter()
    for trees, model in grow(learn, settings, seed, stops):
        seconds += time.perf_counter() - start
        yield trees, scores.score(model, validate).metrics() | {"fit_seconds": seconds}
        start = time.perf_counter()


def in_worker(
    point: dict[str, Any],
    *,
    evaluate: Evaluate,
    learn: pd.DataFrame,
    validate: pd.DataFrame,
    seed: int,
    stops: Sequence[int],
    kind: device.Wanted,
    threads: int | None,
) -> None:
    """Make the trial of a point in the search space, and report to Ray Tune."""
    from ray import tune  # not at the top: a search on one worker does without Ray

    device.choose(kind)
    if threads:
        # All that scikit-learn believes to have. Workers of one machine share its cores.
        os.environ["LOKY_MAX_CPU_COUNT"] = str(threads)
    for trees, metrics in evaluate(learn, validate, Forest(**point), seed, stops):
        tune.report({"loss": metrics["loss"], "trees": trees, "metrics": metrics})
