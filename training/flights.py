"""The airline table: what a flight's row holds, how it is read, checked and split."""

import hashlib
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

import storage
from unusable import Unusable

NUMBERS = (
    "Year",
    "Month",
    "DayofMonth",
    "DayofWeek",
    "CRSDepTime",
    "CRSArrTime",
    "FlightNum",
    "Distance",
)
NAMES = ("UniqueCarrier", "Origin", "Dest")
TARGET = "ArrDelayBinary"

FEATURES = (*NUMBERS, *NAMES)
"""Known when the ticket is sold. Nothing measured after departure may ever stand here."""

SCHEMA = pa.schema(
    [(name, pa.int16()) for name in NUMBERS]
    + [(name, pa.string()) for name in NAMES]
    + [(TARGET, pa.int8())]
)
"""How `data` writes the table. Sixteen bits hold every number of it in a quarter of the memory."""

How = Literal["stratified", "time"]

BATCH = 1_000_000
"""Rows that are looked at together where that takes more memory than the table itself."""


class DataError(Unusable):
    """The data are not what training needs; the message says what is, and what to type."""


def read(fpath: str, rows: int = 0, seed: int = 0) -> pd.DataFrame:
    """Read the features and the target, and of a large table only a random `rows` (0: all).

    The table passes through in batches, so memory holds what is returned and little more.
    """
    files = _open(fpath)
    check(files.schema, fpath)
    total = files.count_rows()
    if total == 0:
        raise DataError(f"{fpath} holds no flights. Make it anew: mlflow run training -e data")
    keep = np.arange(total)
    if 0 < rows < total:
        keep = np.sort(np.random.default_rng(seed).choice(total, rows, replace=False))
    batches, start = [], 0
    for batch in files.to_batches(columns=[*FEATURES, TARGET]):
        stop = start + batch.num_rows
        here = keep[np.searchsorted(keep, start) : np.searchsorted(keep, stop)] - start
        batches.append(_compact(batch.take(pa.array(here)), fpath))
        start = stop
    table = pa.concat_tables(batches).unify_dictionaries()
    return table.to_pandas(split_blocks=True, self_destruct=True)


def check(schema: pa.Schema, fpath: str) -> None:
    """Refuse a table with a missing column or a column of another kind, by its name."""
    missing = [name for name in (*FEATURES, TARGET) if name not in schema.names]
    if missing:
        raise DataError(
            f"{fpath} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"it has {', '.join(schema.names)}. "
            "To make the table from your own files: mlflow run training -e data -P source=PATH"
        )
    for name in (*NUMBERS, TARGET):
        if not _is_number(schema.field(name).type):
            raise DataError(f"{fpath}: {name} is {schema.field(name).type}; it must be a number")
    for name in NAMES:
        kind = schema.field(name).type
        text = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (_is_text(text) or _is_number(kind)):
            raise DataError(f"{fpath}: {name} is {kind}; it must be text or a numeric code")


def split(
    frame: pd.DataFrame, how: How = "stratified", seed: int = 0, share: float = 0.2
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold out `share` of the flights: the latest whole days, or a seeded draw per class."""
    if how not in get_args(How):
        raise DataError(f"split={how!r} is unknown; use {' or '.join(get_args(How))}")
    target = frame[TARGET].to_numpy()
    if how == "time":
        held_out = _latest_days(frame, share)
    else:
        generator = np.random.default_rng(seed)
        held_out = np.zeros(len(frame), dtype=bool)
        for label in (0, 1):
            members = generator.permutation(np.flatnonzero(target == label))
            held_out[members[: round(len(members) * share)]] = True
    for part, chosen in (("train on", ~held_out), ("test on", held_out)):
        if len(np.unique(target[chosen])) < 2:
            raise DataError(
                f"split={how} leaves {chosen.sum()} flights to {part}, not both late and punctual "
                f"ones (all: {len(frame)}). Use more rows or the other split"
            )
    return frame[~held_out], frame[held_out]


def majority_accuracy(target: Any) -> float:
    """What is reached without any model, by always giving the more frequent answer."""
    late = float(np.mean(target))
    return max(late, 1 - late)


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Use the types that callers of the model send: whole numbers of 64 bits, and text."""
    kinds = {
        name: "int64" if pd.api.types.is_integer_dtype(frame[name]) else "str" for name in frame
    }
    return frame.astype(kinds)


def digest(frame: pd.DataFrame) -> str:
    """Tell one table from another, by every value of it."""
    found = hashlib.sha256(",".join(frame.columns).encode())
    for start in range(0, len(frame), BATCH):
        rows = frame.iloc[start : start + BATCH]
        found.update(pd.util.hash_pandas_object(rows, index=False).to_numpy())
    return found.hexdigest()[:8]


def _open(fpath: str) -> Any:
    try:
        system, path = storage.locate(fpath)
        return ds.dataset(path, filesystem=system, format="parquet")
    except FileNotFoundError:
        raise DataError(
            f"There is no {fpath}. To make it: mlflow run training -e data -P fpath={fpath}"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{fpath} cannot be read as Parquet: {error}") from error


def _compact(batch: pa.RecordBatch, fpath: str) -> pa.Table:
    """Bring a batch to the smallest types, refusing what does not fit by its column's name."""
    columns = {}
    for name in (*FEATURES, TARGET):
        column = batch.column(name)
        if column.null_count:
            raise DataError(
                f"{fpath}: {name} is empty in {column.null_count} or more rows; "
                "`mlflow run training -e data -P source=PATH` leaves such rows out"
            )
        if _is_number(column.type):
            try:
                column = column.cast(pa.int8() if name == TARGET else pa.int16())
            except pa.ArrowInvalid as error:
                raise DataError(f"{fpath}: {name} has a value that cannot be: {error}") from error
        elif not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        columns[name] = column
    if not pc.all(pc.is_in(columns[TARGET], pa.array([0, 1], pa.int8())), min_count=0).as_py():
        raise DataError(f"{fpath}: {TARGET} must be 0 (punctual) or 1 (late) everywhere")
    return pa.table(columns)


def _latest_days(frame: pd.DataFrame, share: float) -> Any:
    # Whole days: flights of one day share its weather, so a day may not lie on both sides.
    date = frame["Year"].astype("int32") * 10_000 + frame["Month"] * 100 + frame["DayofMonth"]
    days = date.to_numpy()
    first = np.sort(days)[int(len(days) * (1 - share))]
    return days >= first


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
