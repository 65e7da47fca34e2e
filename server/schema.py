"""The tables of one part of MLflow, which counts their revisions in a table of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.db import upgrade

MLFLOW = Path(mlflow.__file__).parent


@dataclass(frozen=True)
class Schema:
    """Where its migrations are, and what runs them."""

    name: str
    scripts: Path
    table: str
    """Holds the revision of a database."""
    upgrade: Callable[[str], None]
    """Brings the database of a URL to the last revision."""


RUNS = Schema(
    "MLflow schema",
    MLFLOW / "store" / "db_migrations",
    "alembic_version",
    # As a function, not a command: its URL would show in the list of processes.
    lambda url: upgrade.main([url], standalone_mode=False),
)
