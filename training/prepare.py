"""How every training begins: choose the device, read the flights, hold some of them out."""

import argparse
from pathlib import Path

import pandas as pd

import airline
import flights
import storage
from terminal import say, timed


def read(args: argparse.Namespace) -> pd.DataFrame:
    """Read the flights that the options ask for; the default table is made if it is not there."""
    if args.fpath == airline.DEFAULT and not Path(storage.locate(args.fpath)[1]).exists():
        with timed("making", f"{args.fpath} from {airline.NYCFLIGHTS}"):
            airline.make(args.fpath)
    frame = flights.read(args.fpath, args.rows, args.seed)
    say("reading", f"{len(frame):,} flights from {args.fpath}")
    return frame


def split(frame: pd.DataFrame, args: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold out the test flights and say how."""
    train, test = flights.split(frame, args.split, args.seed)
    how = f"drawn with seed {args.seed}" if args.split == "stratified" else "the latest days"
    say("holding", f"{len(test):,} of them back for the test, {how}")
    return train, test
