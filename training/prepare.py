"""How every training begins: read the environment and the flights, hold some of them out.

Nothing here imports scikit-learn, so that what is missing is said seconds earlier.
"""

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from mlflow import ActiveRun, MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

import airline
import flights
import storage
from terminal import say, timed
from unusable import Unusable

DESCRIBED = 1000
"""Rows that tell the types of all; every column is complete by `flights.check`."""


def environment(path: str) -> dict[str, Any]:
    """Read the environment file that is kept with the model."""
    try:
        system, inside = storage.locate(path)
        with system.open_input_stream(inside) as stream:
            content = yaml.safe_load(stream.read())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Unusable(f"conda-env={path} cannot be read: {error}") from error
    if not isinstance(content, dict) or "dependencies" not in content:
        raise Unusable(f"conda-env={path} is no conda environment file: it lists no dependencies")
    return content


def read(args: argparse.Namespace) -> pd.DataFrame:
    """Read the flights that the options ask for; the default table is made if it is not there."""
    if args.fpath == airline.DEFAULT and not Path(storage.locate(args.fpath)[1]).exists():
        with timed("making", f"{args.fpath} from {airline.NYCFLIGHTS}"):
            airline.make(args.fpath)
    frame = flights.read(args.fpath, args.rows, args.seed)
    say("reading", f"{len(frame):,} flights from {args.fpath}")
    return frame


def log_data(run: ActiveRun, frame: pd.DataFrame, fpath: str) -> None:
    """Name the data in the run, with a digest that tells one table from another.

    MLflow's own description looks at each value by itself: five seconds for 327,346 flights.
    """
    source = fpath if "://" in fpath else storage.locate(fpath)[1]
    with warnings.catch_warnings(action="ignore"):
        first = from_pandas(
            flights.plain(frame.head(DESCRIBED)),
            source=source,
            name=Path(fpath).stem,
            targets=flights.TARGET,
            digest=flights.digest(frame),
        ).to_dict()
    size = {"num_rows": len(frame), "num_elements": int(frame.size)}
    data = Dataset(**first | {"profile": json.dumps(size)})
    training = InputTag(MLFLOW_DATASET_CONTEXT, "training")
    MlflowClient().log_inputs(run.info.run_id, [DatasetInput(data, [training])])


def split(frame: pd.DataFrame, args: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold out the test flights and say how."""
    train, test = flights.split(frame, args.split, args.seed)
    how = f"drawn with seed {args.seed}" if args.split == "stratified" else "the latest days"
    say("holding", f"{len(test):,} of them back for the test, {how}")
    return train, test
