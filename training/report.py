"""What every trained model leaves in its run: scores, plots and the model itself."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import yaml
from mlflow.data.pandas_dataset import from_pandas
from mlflow.models.model import ModelInfo
from mlflow.models.signature import infer_signature
from mlflow.sklearn import SERIALIZATION_FORMAT_CLOUDPICKLE, SERIALIZATION_FORMAT_SKOPS

import flights
import plots
import scores
import storage
from device import Device
from scores import Scores
from terminal import say, timed
from tuning import TUNED, Trial
from unusable import Unusable


def environment(path: str) -> dict[str, Any]:
    """Read the environment file that is kept with the model, before any time went into fitting."""
    try:
        system, inside = storage.locate(path)
        with system.open_input_stream(inside) as stream:
            content = yaml.safe_load(stream.read())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Unusable(f"conda-env={path} cannot be read: {error}") from error
    if not isinstance(content, dict) or "dependencies" not in content:
        raise Unusable(f"conda-env={path} is no conda environment file: it lists no dependencies")
    return content


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


def log_data(frame: pd.DataFrame, fpath: str) -> None:
    """Name the data in the run, with a digest that tells one table from another."""
    source = fpath if "://" in fpath else storage.locate(fpath)[1]
    with warnings.catch_warnings(action="ignore"):
        data = from_pandas(
            _plain(frame), source=source, name=Path(fpath).stem, targets=flights.TARGET
        )
        mlflow.log_input(data, context="training")


def log_model(
    model: Any,
    test: pd.DataFrame,
    device: Device,
    conda: dict[str, Any],
    register: str | None = None,
) -> ModelInfo:
    """Keep the model with its signature and an example, and register it if a name is given."""
    example = _plain(test[list(flights.FEATURES)].head(5))
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


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Use the types that callers of the model send: whole numbers of 64 bits, and text."""
    kinds = {
        name: "int64" if pd.api.types.is_integer_dtype(frame[name]) else "str" for name in frame
    }
    return frame.astype(kinds)
