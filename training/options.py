"""The options that entry points share; MLproject declares each of them by the same name."""

import argparse
import os
from typing import NoReturn, get_args

from mlflow import MlflowClient

import airline
import device
import flights


class Parser(argparse.ArgumentParser):
    """Refuses wrong options like argparse, and first fails the run that was opened for them."""

    def error(self, message: str) -> NoReturn:
        """End the process; a run that a project's launcher opened must not stay RUNNING."""
        if run_id := os.environ.get("MLFLOW_RUN_ID"):
            client = MlflowClient()
            client.set_tag(run_id, "failure", message)
            client.set_terminated(run_id, "FAILED")
        super().error(message)


def whole(text: str) -> int:
    """Read a count: a whole number, zero or more."""
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def positive(text: str) -> int:
    """Read a whole number of at least one."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def several(text: str) -> int:
    """Read a whole number of at least four, the least of which a search finds a range."""
    number = int(text)
    if number < 4:
        raise ValueError
    return number


def add_fpath(parser: argparse.ArgumentParser) -> None:
    """Add where the airline table lies."""
    parser.add_argument(
        "--fpath",
        default=airline.DEFAULT,
        help="airline table in Parquet: a path (relative to this project), gs://… or s3://…",
    )


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every training takes."""
    add_fpath(parser)
    parser.add_argument(
        "--rows", type=whole, default=0, help="read only so many flights, drawn at random; 0: all"
    )
    parser.add_argument(
        "--split",
        choices=get_args(flights.How),
        default="stratified",
        help="hold out a fifth: drawn at random in each class, or the latest days",
    )
    parser.add_argument("--seed", type=whole, default=0, help="decides every random choice")
    parser.add_argument(
        "--device",
        choices=get_args(device.Wanted),
        default="auto",
        help="auto takes the GPU where there is one and RAPIDS is installed",
    )
    parser.add_argument(
        "--conda-env",
        default="conda.yaml",
        help="environment file kept with the model: a path, gs://… or s3://…",
    )
