"""The tables of one part of MLflow, which counts their revisions in a table of its own."""

import gc
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


def upgrade_runs(url: str) -> None:
    """Do what `mlflow db upgrade` does: as a command, its URL would show among the processes."""
    upgrade.main([url], standalone_mode=False)
    # It leaves its connections lying about, and there are not many.
    gc.collect()


RUNS = Schema("MLflow schema", MLFLOW / "store" / "db_migrations", "alembic_version", upgrade_runs)
