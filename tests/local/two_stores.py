"""MLflow's own store and ours, each on a database of its own, called alike and compared whole."""

import itertools
import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import unified_diff
from pprint import pformat
from typing import Any
from unittest.mock import patch

from mlflow.entities._mlflow_object import _MlflowObject
from mlflow.exceptions import MlflowException
from mlflow.store.tracking import sqlalchemy_store as mlflows
from sqlalchemy import inspect, text

from server.store import postgres

UNORDERED = {"_metric_objs", "_dataset_inputs", "_model_inputs", "_model_outputs"}
"""MLflow reads them without an order: they come as Postgres finds them."""


class TwoStores:
    """Every call goes to both, under one clock and with the same dice."""

    def __init__(self, stock: mlflows.SqlAlchemyStore, tuned: postgres.PostgresStore) -> None:
        self.stock = stock
        self.tuned = tuned
        self.calls = itertools.count()
        self.tables = inspect(stock.engine).get_table_names()

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """What both answered. Raises nothing: an error is an answer."""
        number = next(self.calls)
        stock, tuned = (
            _outcome(number, getattr(store, name), *args, **kwargs)
            for store in (self.stock, self.tuned)
        )
        assert tuned == stock, f"{name}{args}{kwargs}:\n{_difference(stock, tuned)}"
        return stock

    def assert_same_tables(self) -> None:
        stock, tuned = (rows(store, self.tables) for store in (self.stock, self.tuned))
        assert tuned == stock, _difference(stock, tuned)


def _difference(stock: Any, tuned: Any) -> str:
    one, other = (pformat(each, width=100).splitlines() for each in (stock, tuned))
    return "\n".join(unified_diff(one, other, "stock", "tuned", lineterm="", n=0))


def rows(store: mlflows.SqlAlchemyStore, tables: list[str]) -> list[tuple[str, str]]:
    """All that is in the tables, in an order that does not depend on when it was written.

    Postgres writes a row as text: no two values look alike, and nothing is not an empty text.
    """
    # In one statement: there are sixty tables, most of them empty.
    everything = " UNION ALL ".join(
        f'SELECT \'{table}\', "{table}"::text FROM "{table}"'  # noqa: S608
        for table in tables
    )
    with store.engine.connect() as connection:
        return sorted((name, row) for name, row in connection.execute(text(everything)))


def _outcome(number: int, method: Any, *args: Any, **kwargs: Any) -> tuple[str, Any]:
    with dice(number):
        try:
            return "answer", plain(method(*args, **kwargs))
        except MlflowException as error:
            return "MlflowException", (error.error_code, error.message)
        except Exception as error:
            return type(error).__name__, str(error)


@contextmanager
def dice(number: int) -> Iterator[None]:
    """The same identifiers, names and time for the same call."""
    random_bits = random.Random(number)  # noqa: S311
    named = f"name-{number}"
    with (
        patch.object(uuid, "uuid4", lambda: uuid.UUID(int=random_bits.getrandbits(128), version=4)),
        patch.object(mlflows, "get_current_time_millis", lambda: 1_700_000_000_000 + number),
        patch.object(mlflows, "_generate_random_name", lambda: named),
        patch.object(postgres, "_generate_random_name", lambda: named),
    ):
        yield


def plain(value: Any) -> Any:
    """An entity by its parts. Not a number equals itself, and 1 is not 1.0."""
    if isinstance(value, _MlflowObject):
        parts = {name: plain(part) for name, part in vars(value).items()}
        for name in UNORDERED & parts.keys():
            parts[name] = sorted(parts[name], key=repr)
        return type(value).__name__, parts
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [*map(plain, value), plain(getattr(value, "token", None))]
    return repr(value)


def identifier(answer: tuple[str, Any]) -> str:
    """Of what was created."""
    kind, created = answer
    assert kind == "answer", created
    text = created if isinstance(created, str) else created[1]["_info"][1]["_run_id"]
    return text.strip("'")
