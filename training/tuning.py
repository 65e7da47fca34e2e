"""Tree-structured Parzen search over forests; knows nothing of where trials are run or kept."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from hyperopt import JOB_STATE_DONE, STATUS_OK, Trials, fmin, hp, tpe
from hyperopt.pyll import scope

from forest import Forest

TUNED = ("n_estimators", "max_depth", "min_samples_leaf", "max_features", "max_samples")
"""What a search varies."""

RANDOM_TRIALS = 5
"""Points drawn at random before TPE learns from them; hyperopt's 20 suit longer searches."""


@dataclass(frozen=True)
class Trial:
    """A forest that was tried; the smaller its loss, the better."""

    number: int
    settings: Forest
    loss: float


@dataclass(frozen=True)
class Bounds:
    """The largest forest that may be tried; its size is its memory."""

    depth: int
    trees: int

    def space(self) -> dict[str, Any]:
        """Say from where hyperopt draws each parameter."""
        return {
            "n_estimators": scope.int(hp.quniform("n_estimators", self.trees // 4, self.trees, 1)),
            "max_depth": scope.int(hp.quniform("max_depth", self.depth // 2, self.depth, 1)),
            "min_samples_leaf": scope.int(
                hp.qloguniform("min_samples_leaf", math.log(3), math.log(50), 1)
            ),
            "max_features": hp.uniform("max_features", 0.3, 1.0),
            "max_samples": hp.uniform("max_samples", 0.3, 1.0),
        }

    def stops(self) -> tuple[int, ...]:
        """Say at how many trees a forest may be given up: the fewest that are tried, and twice."""
        fewest = self.trees // 4
        return fewest, 2 * fewest

    def start(self) -> Forest:
        """Give the default forest, cut to these bounds."""
        default = Forest()
        return replace(
            default,
            n_estimators=min(default.n_estimators, self.trees),
            max_depth=min(default.max_depth, self.depth),
        )


def search(
    evaluate: Callable[[int, Forest], float],
    bounds: Bounds,
    total: int,
    seed: int,
    done: Sequence[Trial] = (),
) -> list[Trial]:
    """Minimise the loss over `total` trials, of which `done` need not be run again.

    The default forest is tried first, so that no search ends below it. A search that goes on after
    `done` makes the same trials that it would have made without the interruption.
    """
    trials = list(done)

    def objective(point: dict[str, Any]) -> dict[str, Any]:
        number, settings = following(trials), Forest(**point)
        loss = evaluate(number, settings)
        trials.append(Trial(number, settings, loss))
        return {"loss": loss, "status": STATUS_OK}

    if not trials:
        objective(asdict(bounds.start()))
    if len(trials) < total:
        draws = np.random.default_rng(seed)
        # hyperopt draws one number per trial that it proposes: all but the first.
        draws.integers(2**31 - 1, size=len(trials) - 1)
        fmin(
            objective,
            bounds.space(),
            algo=partial(tpe.suggest, n_startup_jobs=RANDOM_TRIALS, verbose=False),
            max_evals=total,
            trials=history(trials),
            rstate=draws,
            verbose=False,
            show_progressbar=False,
        )
    return trials


def parse(params: dict[str, str]) -> Forest:
    """Read back what a trial's run tells of its forest."""
    return Forest(
        n_estimators=int(params["n_estimators"]),
        max_depth=int(params["max_depth"]),
        min_samples_leaf=int(params["min_samples_leaf"]),
        max_features=float(params["max_features"]),
        max_samples=float(params["max_samples"]),
    )


def following(trials: Sequence[Trial]) -> int:
    """Number the next trial. Trials that ran side by side may have left gaps."""
    return max((trial.number for trial in trials), default=0) + 1


def history(done: Sequence[Trial]) -> Trials:
    """Tell hyperopt of trials as if it had made them."""
    told = Trials()
    for number, trial in enumerate(done):
        settings = asdict(trial.settings)
        misc = {
            "tid": number,
            "cmd": ("domain_attachment", "FMinIter_Domain"),
            "workdir": None,
            "idxs": {name: [number] for name in TUNED},
            "vals": {name: [float(settings[name])] for name in TUNED},
        }
        result = {"loss": trial.loss, "status": STATUS_OK}
        (document,) = told.new_trial_docs([number], [None], [result], [misc])
        told.insert_trial_doc(document | {"state": JOB_STATE_DONE})
    told.refresh()
    return told
