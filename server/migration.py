"""Bring the database to the schema of the installed MLflow: `python -m server.migration`.

Runs before the servers of a new version start: in a Job on Kubernetes, as a process on a laptop.
Any number of runs at once is safe, and a run that finds the schema current only renews the rights.
"""

import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import mlflow
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from mlflow.db import upgrade
from sqlalchemy import Connection, Engine, NullPool, create_engine, func, inspect, select
from sqlalchemy.exc import OperationalError

from .backup import Instance
from .grants import grant_rows
from .migration_contract import INSTANCE, OWNER_URL, RUNTIME_ROLE

logger = logging.getLogger(__name__)

LOCK = int.from_bytes(b"mlflow")
"""Key of the advisory lock. Any number serves, as long as every migration takes the same."""

REACH_SECONDS = 300.0
"""For a proxy to start, and for its rights to reach all of Google's services."""

POLL_SECONDS = 5.0


class MigrationFailed(Exception):
    """The schema could not be brought up to date; the message says how things stand."""


@dataclass(frozen=True)
class Revision:
    """Where a database's schema stands, and where the installed MLflow wants it."""

    current: str | None
    """Nothing in a database that MLflow never used."""
    head: str
    known: bool
    """Whether the installed MLflow knows the database's revision; a newer MLflow's it does not."""
    empty: bool

    @classmethod
    def of(cls, database: Connection) -> "Revision":
        """Compare the database with the migrations that the mlflow package holds."""
        scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
        current = MigrationContext.configure(database).get_current_revision()
        tables = inspect(database).get_table_names()
        return cls(
            current=current,
            head=str(scripts.get_current_head()),
            known=current is None or current in {s.revision for s in scripts.walk_revisions()},
            empty=all(table.startswith("alembic_") for table in tables),
        )


def migrate(owner_url: str, *, runtime_role: str | None, instance: Instance | None) -> None:
    """Upgrade the schema if it is behind, with a backup first, and renew the server's rights."""
    try:
        engine = create_engine(owner_url, poolclass=NullPool)
    except ModuleNotFoundError as error:  # it says which module, and not why anybody wants it
        raise MigrationFailed(
            "The database's URL does not name the driver that this image has. Write"
            " postgresql+psycopg2:// in place of what stands before its colon."
        ) from error
    with _connect(engine).execution_options(isolation_level="AUTOCOMMIT") as database:
        # Held by the session, so it ends with this process however that ends. MLflow's own lock
        # is a file, which keeps nobody out who runs on another machine.
        database.execute(select(func.pg_advisory_lock(LOCK)))

        found = Revision.of(database)
        if found.current == found.head:
            logger.info("The schema is current (%s)", found.head)
        else:
            _upgrade(database, owner_url, found, instance)

        if runtime_role:
            with engine.begin() as owner:
                grant_rows(owner, runtime_role)
            logger.info("Role %s may read and write rows", runtime_role)


def _connect(engine: Engine) -> Connection:
    deadline = time.monotonic() + REACH_SECONDS
    while True:
        try:
            return engine.connect()
        except OperationalError as error:
            why = str(error.orig).strip()
            if time.monotonic() > deadline:
                raise MigrationFailed(f"The database cannot be reached: {why}") from error
            logger.info("The database cannot be reached yet: %s", why)
        time.sleep(POLL_SECONDS)


def _upgrade(
    database: Connection, owner_url: str, found: Revision, instance: Instance | None
) -> None:
    if not found.known:
        raise MigrationFailed(
            f"The database has schema {found.current}, which this MLflow does not know: a newer"
            " version wrote it. Deploy that version again, or restore the backup that was taken"
            " before its upgrade."
        )

    step = f"MLflow schema {found.current or 'nothing'} to {found.head}"
    undo = "No backup was taken."
    if found.empty:
        undo = "The database was empty before."
    elif instance:
        logger.info("Backing up %s before its upgrade", instance.name)
        backup = instance.back_up(f"before {step}")
        restore = instance.restore_command(backup)
        logger.info("Backup %s is complete. To go back to it:\n  %s", backup, restore)
        undo = (
            "To go back to the backup taken just before, and lose what was written since:\n"
            f"  {restore}"
        )

    logger.info("Upgrading: %s", step)
    try:
        # As a function, not a command: its URL would show in the list of processes.
        upgrade.main([owner_url], standalone_mode=False)
    except Exception as error:
        left = Revision.of(database).current
        state = (
            "The schema is unchanged, so servers of the old version go on."
            if left == found.current
            else f"The schema was left at {left}."
        )
        raise MigrationFailed(f"Upgrade failed: {step}. {state} {undo}") from error
    logger.info("Upgraded to %s", found.head)


def _stop(signum: int, _frame: FrameType | None) -> None:
    """Leave by an exception, so that Postgres undoes what is under way.

    The first process of a container ignores a signal that it has no handler for.
    """
    sys.exit(128 + signum)


def main() -> None:
    """Read the environment and migrate; what went wrong is the end of the log."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    signal.signal(signal.SIGTERM, _stop)
    instance = os.environ.get(INSTANCE)
    try:
        migrate(
            os.environ[OWNER_URL],
            runtime_role=os.environ.get(RUNTIME_ROLE),
            instance=Instance.named(instance) if instance else None,
        )
    except MigrationFailed:
        logger.exception("The migration failed")
        sys.exit(1)


if __name__ == "__main__":
    main()
