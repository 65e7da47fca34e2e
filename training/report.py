"""What every trained model leaves in its run: scores, plots and the model itself."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import mlflow
import pandas as pd
from mlflow.models.model import ModelInfo
from mlflow.models.signature import infer_signature
from mlflow.sklearn import SERIALIZATION_FORMAT_CLOUDPICKLE, SERIALIZATION_FORMAT_SKOPS

import flights
import plots
import scores
from device import Device
from scores import Scores
from terminal import say, timed
from tuning import TUNED, Trial


def log(model: Any, test: pd.DataFrame, seed: int, extra: dict[str, float]) -> Scores:
    """Score the model on the test flights; keep the metrics, in one request, and the plots."""
    with timed("scoring", f"{len(test):,} flights, and what each column is worth"):
        found = scores.score(model, test)
        lost = scores.importance(model, test, seed)
    mlflow.log_metrics(found.metrics() | extra)
    mlflow.log_figure(plots.roc(found.late, found.probability), "plots/roc.png")
    mlflow.log_figure(plots.confusion(found.late, found.answer), "plots/confusion_matrix.png")
    mlflow.log_figure(plots.importance(lost), "plots/feature_importance.png")
    return found


def log_search(trials: Sequence[Trial], majority: float) -> None:
    """Keep how the search went and which parameters its trials had."""
    accuracies = [1 - trial.loss for trial in trials]
    table = pd.DataFrame([asdict(trial.settings) for trial in trials])[list(TUNED)]
    mlflow.log_figure(plots.history(accuracies, majority), "plots/search_history.png")
    mlflow.log_figure(
        plots.parallel_coordinates(table, accuracies), "plots/parallel_coordinates.png"
    )


def summary(found: Scores) -> None:
    """Tell whether the model was worth its while."""
    majority = flights.majority_accuracy(found.late)
    say("accuracy", f"{found.accuracy:.4f}, against {majority:.4f} of the majority class")


def log_model(
    model: Any,
    test: pd.DataFrame,
    device: Device,
    conda: dict[str, Any],
    register: str | None = None,
) -> ModelInfo:
    """Keep the model with its signature and an example, and register it if a name is given."""
    example = flights.plain(test[list(flights.FEATURES)].head(5))
    with timed("keeping", "the model"), warnings.catch_warnings():
        # Every column is complete by flights.check, so the advice on missing integers is moot.
        warnings.filterwarnings("ignore", message=".*integer column.*")
        signature = infer_signature(example, model.predict(example))
        info: ModelInfo = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=signature,
            input_example=example,
            conda_env=conda,
            registered_model_name=register,
            # skops runs no code on loading but does not know cuML's proxies; a cloudpickle of
            # those loads as plain scikit-learn where RAPIDS is missing.
            serialization_format=SERIALIZATION_FORMAT_CLOUDPICKLE
            if device.kind == "gpu"
            else SERIALIZATION_FORMAT_SKOPS,
            # A forest's nodes, which skops trusts only by name: this file is our own.
            skops_trusted_types=["sklearn.tree._tree.Tree"],
        )
    return info
