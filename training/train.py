"""Fit one model on the flights, score it on those held out, and keep it in MLflow."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_args

import mlflow

import device
import options
import prepare
import tracking
from forest import Forest
from forest import fit as fit_forest
from logistic import Logistic, Penalty
from logistic import fit as fit_logistic
from terminal import say, timed

MODELS: dict[str, tuple[str, type[Any], Callable[..., Any]]] = {
    "logistic": ("logistic regression", Logistic, fit_logistic),
    "forest": ("random forest", Forest, fit_forest),
}


def parser() -> options.Parser:
    """Describe the command line, one command per model."""
    described = options.Parser(description=__doc__)
    models = described.add_subparsers(dest="model", required=True)

    logistic = models.add_parser("logistic", help="logistic regression, the baseline")
    logistic.add_argument("--C", type=float, default=Logistic.C, help="the smaller, the simpler")
    logistic.add_argument("--penalty", choices=get_args(Penalty), default=Logistic.penalty)
    options.add_common(logistic)

    forest = models.add_parser("forest", help="random forest")
    forest.add_argument("--n_estimators", type=options.positive, default=Forest.n_estimators)
    forest.add_argument("--max_depth", type=options.positive, default=Forest.max_depth)
    forest.add_argument(
        "--min_samples_leaf", type=options.positive, default=Forest.min_samples_leaf
    )
    forest.add_argument("--max_features", type=float, default=Forest.max_features)
    forest.add_argument("--max_samples", type=float, default=Forest.max_samples)
    options.add_common(forest)
    return described


def main() -> None:
    """Train the model that the command line names."""
    args = parser().parse_args()
    title, kind, fit = MODELS[args.model]
    settings = kind(**{field.name: getattr(args, field.name) for field in fields(kind)})

    with tracking.run(args.model, vars(args)) as run:
        chosen = device.choose(args.device)
        mlflow.set_tags({"model": args.model, **chosen.tags()})
        conda = prepare.environment(args.conda_env)
        frame = prepare.read(args)
        prepare.log_data(run, frame, args.fpath)
        train, test = prepare.split(frame, args)
        import report  # not at the top: it imports scikit-learn

        with timed("fitting", f"{title} on {len(train):,} flights, {chosen}") as seconds:
            model = fit(train, settings, args.seed)
        found = report.log(model, test, args.seed, {"fit_seconds": seconds[0]})
        report.log_model(model, test, chosen, conda)
    report.summary(found)
    say("run", tracking.url(run))


if __name__ == "__main__":
    tracking.main(main)
