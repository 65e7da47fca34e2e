"""The search past one machine: Ray makes the trials, and this process alone talks to MLflow."""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import device
import tuning
from course import Course
from device import Device
from folders import scratch
from forest import Forest
from terminal import say
from tracking import Child, Stopped
from trial import Evaluate, evaluate, in_worker
from tuning import Bounds, Trial
from unusable import Unusable

# Ray reads these when it is imported.
os.environ |= {
    # The one that `verbose=0` keeps quiet.
    "RAY_AIR_NEW_OUTPUT": "0",
    # Ctrl-C ends the search. Tune would take what there is for the result.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # No files of results for other programs.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}

try:
    # First: it says how Ray is to be, and Ray reads that when it is imported.
    import machines  # noqa: I001
    from ray import cloudpickle, tune
    from ray.exceptions import RayActorError, RayTaskError
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.hyperopt import HyperOptSearch
except ImportError as error:
    raise Unusable(
        "more than one worker needs Ray, which is not installed: pip install -r requirements.txt"
    ) from error

LOST = 3
"""Workers that one trial may lose. A machine that is taken back does not count."""


class WorkerLost(Exception):
    """A trial ended its worker time and again, most often for want of memory."""


@dataclass
class _Open:
    """A trial that has begun."""

    number: int
    child: Child
    ending: ExitStack


@dataclass
class _Watch(tune.Callback):
    """Puts what happens to Ray's trials into runs of MLflow.

    Tune takes an error in most of its callbacks for one of the trial and makes that again; so they
    only write down what happened, and `on_step_end`, whose errors end the search, tells of it.
    """

    course: Course
    trials: list[Trial]
    events: list[Callable[[], None]] = field(default_factory=list)
    open: dict[str, _Open] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        # In the order in which they were proposed, whichever worker is there first.
        taken = {made.number for made in self.trials} | set(self.numbers.values())
        free = (number for number in count(1) if number not in taken)
        for known in trials:
            if known.trial_id not in self.numbers:
                self.numbers[known.trial_id] = next(free)
        self.events.append(partial(self._begin, trial, self.numbers[trial.trial_id]))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        self.events.append(partial(self._finish, trial, trial.last_result))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        self.events.append(partial(self._recover, trial, _error(trial)))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        self.events.append(partial(self._fail, trial, _error(trial)))

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Tell MLflow, between two steps of Tune's loop."""
        while self.events:
            self.events.pop(0)()

    def _begin(self, trial: Any, number: int) -> None:
        if trial.trial_id in self.open:  # again, after it had lost its worker
            return
        ending = ExitStack()
        child = ending.enter_context(self.course.trial(number, Forest(**trial.config)))
        self.open[trial.trial_id] = _Open(number, child, ending)

    def _finish(self, trial: Any, result: dict[str, Any]) -> None:
        ended = self.open.pop(trial.trial_id)
        child, trees = ended.child, result["trees"]
        child.metrics |= result["metrics"]
        remark = ""
        if trees < trial.config["n_estimators"]:
            # A forest that was given up is the forest of the trees that it has, and no other.
            child.params["n_estimators"] = trees
            of = f"{trees} of {trial.config['n_estimators']} trees"
            child.tags["stopped_early"], remark = of, f", given up at {of}"
        ended.ending.close()
        self.trials.append(Trial(ended.number, Forest(**child.params), result["loss"]))
        self.course.note(ended.number, child.metrics, remark)

    def _recover(self, trial: Any, error: Exception) -> None:
        if not isinstance(error, RayActorError):
            self._fail(trial, error)
        elif begun := self.open.get(trial.trial_id):
            say("", f"trial {begun.number} has lost its worker and is made again")

    def _fail(self, trial: Any, error: Exception) -> None:
        cause: BaseException = error
        # Tune drops a trial whose worker dies on the way to it from the trial before.
        dropped = isinstance(error, RayActorError) and trial.num_failures <= LOST
        if dropped:
            cause = Stopped("it has lost its worker, and another trial takes its place")
        elif isinstance(error, RayActorError):
            cause = WorkerLost(f"a trial has lost {LOST + 1} workers, the last to: {error}")
        elif isinstance(error, RayTaskError):
            cause = error.cause
        if begun := self.open.pop(trial.trial_id, None):
            begun.ending.__exit__(type(cause), cause, None)
        if not dropped:
            raise cause from error

    def give_up(self, reason: BaseException) -> None:
        """End the runs of the trials that never will."""
        if not isinstance(reason, KeyboardInterrupt):
            reason = Stopped(f"the search ended with {type(reason).__name__}")
        for still in self.open.values():
            still.ending.__exit__(type(reason), reason, None)


def _error(trial: Any) -> Exception:
    """Read what ended a trial. Tune's own `get_error` looks where the file will be copied to."""
    if trial.pickled_error_file is None:
        return RuntimeError(Path(trial.error_file).read_text())
    error: Exception = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    return error


def search(
    course: Course,
    learn: pd.DataFrame,
    validate: pd.DataFrame,
    bounds: Bounds,
    *,
    workers: int,
    seed: int,
    chosen: Device,
    done: Sequence[Trial] = (),
    evaluate: Evaluate = evaluate,
) -> list[Trial]:
    """Minimise the loss with so many trials at once, of which `done` need not be made again.

    The space, the default forest as the first trial and the algorithm are those of `tuning.search`.
    Forests that are worse than half of those before them at the same number of trees grow no
    further.
    """
    # cuML grows a forest in one go only.
    stops = bounds.stops() if chosen.kind == "cpu" else ()
    trials = list(done)
    if len(trials) >= course.total:
        return trials
    with scratch("ray-") as folder, machines.connected(workers, folder):
        # What ends a trial is ours to say.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        make = tune.with_parameters(
            in_worker,
            evaluate=evaluate,
            learn=learn,
            validate=validate,
            seed=seed,
            stops=stops,
            kind=chosen.kind,
            threads=None if machines.CLUSTER else max(1, device.cores() // workers),
        )
        # Again only where a trial was dropped: see `_Watch._fail`.
        while len(trials) < course.total:
            watch = _Watch(course, trials)
            tuner = tune.Tuner(
                tune.with_resources(make, {"cpu": 1, "gpu": int(chosen.kind == "gpu")}),
                tune_config=tune.TuneConfig(
                    search_alg=_searcher(bounds, seed, trials),
                    scheduler=_scheduler(bounds) if stops else None,
                    num_samples=course.total - len(trials),
                    max_concurrent_trials=workers,
                    # A worker imports scikit-learn once, not for each trial.
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name=f"after-{len(trials)}",
                    storage_path=str(folder),
                    failure_config=tune.FailureConfig(max_failures=LOST),
                    callbacks=[watch],
                    verbose=0,
                ),
            )
            try:
                tuner.fit()
            except BaseException as reason:
                watch.give_up(reason)
                raise
    return trials


def _searcher(bounds: Bounds, seed: int, done: Sequence[Trial]) -> HyperOptSearch:
    searcher = HyperOptSearch(
        bounds.space(),
        metric="loss",
        mode="min",
        points_to_evaluate=None if done else [asdict(bounds.start())],
        n_initial_points=tuning.RANDOM_TRIALS,
        random_state_seed=seed,
    )
    if done:
        draws = np.random.RandomState(seed)
        # Or it would draw the numbers of the trials that are there, and propose them again.
        draws.randint(2**31 - 1, size=len(done))
        searcher.set_state({"hyperopt_trials": tuning.history(done), "rstate": draws.get_state()})
    return searcher


def _scheduler(bounds: Bounds) -> ASHAScheduler:
    fewest = bounds.stops()[0]
    return ASHAScheduler(
        time_attr="trees",
        metric="loss",
        mode="min",
        max_t=bounds.trees,
        grace_period=fewest,
        reduction_factor=2,
    )
