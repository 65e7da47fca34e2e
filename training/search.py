"""Search the best random forest with hyperopt's TPE and register it as the challenger."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import mlflow
import pandas as pd
from mlflow import ActiveRun, MlflowClient

import device
import flights
import options
import prepare
import tracking
import tuning
from course import Course
from forest import Forest, fit
from terminal import say, timed
from trial import Evaluate, evaluate
from tuning import Bounds, Trial
from unusable import Unusable

ALIAS = "challenger"
UNNAMED = "none"

DECISIVE = ("fpath", "rows", "trial_rows", "split", "seed", "max_depth", "max_trees")
"""Options that a continued search cannot change: its earlier trials would not compare."""


def parser() -> options.Parser:
    """Describe the command line."""
    described = options.Parser(description=__doc__)
    described.add_argument("--trials", type=options.positive, default=10)
    described.add_argument("--trial_rows", type=options.positive, default=60_000)
    described.add_argument("--max_depth", type=options.several, default=18)
    described.add_argument("--max_trees", type=options.several, default=40)
    described.add_argument("--workers", type=options.positive, default=1)
    described.add_argument("--search_name", type=_name, default=UNNAMED)
    described.add_argument("--model_name", default="flights")
    options.add_common(described)
    return described


def main() -> None:
    """Try forests on a sample, fit the best on all training flights, score it on the test's."""
    args = parser().parse_args()
    with tracking.run("hyperopt", vars(args), _begun(args.search_name)) as run:
        chosen = device.choose(args.device)
        make = maker(args.workers, chosen)
        mlflow.set_tags({"model": "forest", "search": args.search_name, **chosen.tags()})
        conda = prepare.environment(args.conda_env)
        frame = prepare.read(args)
        prepare.log_data(run, frame, args.fpath)
        train, test = prepare.split(frame, args)
        sample = train.sample(min(args.trial_rows, len(train)), random_state=args.seed)
        learn, validate = flights.split(sample, args.split, args.seed)
        import report  # not at the top: it imports scikit-learn

        say("searching", f"{args.trials} trials on {len(sample):,} flights, {chosen}")
        done = _finished(run, vars(args))
        if done:
            say("", f"{len(done)} of them are there already")
        best = max((1 - trial.loss for trial in done), default=0.0)
        course = Course(run, args.trials, len(done), best)
        bounds = Bounds(depth=args.max_depth, trees=args.max_trees)
        trials = make(course, learn, validate, bounds, seed=args.seed, done=done)
        report.log_search(trials, flights.majority_accuracy(validate[flights.TARGET]))

        winner = min(trials, key=lambda trial: trial.loss).settings
        with timed("fitting", f"the best forest on {len(train):,} flights") as seconds:
            model = fit(train, winner, args.seed)
        found = report.log(model, test, args.seed, {"fit_seconds": seconds[0]})
        kept = report.log_model(model, test, chosen, conda, args.model_name)
        version = str(kept.registered_model_version)
        MlflowClient().set_registered_model_alias(args.model_name, ALIAS, version)
    report.summary(found)
    say("challenger", f"models:/{args.model_name}@{ALIAS}, version {version}")
    say("run", tracking.url(run))


def maker(workers: int, chosen: device.Device) -> Callable[..., list[Trial]]:
    """Find what makes the trials, before any time went into reading flights."""
    if workers == 1:
        return _one_by_one
    import distributed  # not at the top: it takes Ray, and seconds

    return partial(distributed.search, workers=workers, chosen=chosen)


def _one_by_one(
    course: Course,
    learn: pd.DataFrame,
    validate: pd.DataFrame,
    bounds: Bounds,
    *,
    seed: int,
    done: Sequence[Trial],
    evaluate: Evaluate = evaluate,
) -> list[Trial]:
    def make(number: int, settings: Forest) -> float:
        with course.trial(number, settings) as child:
            ((_, child.metrics),) = evaluate(learn, validate, settings, seed, ())
        course.note(number, child.metrics)
        return child.metrics["loss"]

    return tuning.search(make, bounds, course.total, seed, done)


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r}: use letters, digits, '.', '_' and '-'")
    return text


def _begun(name: str) -> str | None:
    """Find the run of the search of this name, so that it goes on instead of a new one."""
    if name == UNNAMED:
        return None
    runs = mlflow.search_runs(
        filter_string=f"tags.search = '{name}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
        output_format="list",
    )
    return runs[0].info.run_id if runs else None


def _finished(run: ActiveRun, options: Mapping[str, Any]) -> list[Trial]:
    """Read the trials that an interrupted search left; refuse to mix them with different ones."""
    trials = [
        Trial(
            int(child.data.tags["trial"]),
            tuning.parse(child.data.params),
            child.data.metrics["loss"],
        )
        for child in tracking.finished_children(run)
    ]
    for name in DECISIVE:
        before = run.data.params.get(name, str(options[name]))
        if trials and before != str(options[name]):
            raise Unusable(
                f"this search was begun with {name}={before}, now {name}={options[name]} is given. "
                f"Continue it with -P {name}={before}, or begin another with a new search_name"
            )
    return trials


if __name__ == "__main__":
    tracking.main(main)
