"""Bring the database to the schema of the installed MLflow: `python -m server.migration`.

Runs before the servers of a new version start: in a Job on Kubernetes, as a process on a laptop.
Any number of runs at once is safe, and a run that finds the schema current only renews the rights.
"""

import gc

if __name__ == "__main__":
    gc.disable()  # what imports make stays: looking through it is a fifth of their time

import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from mlflow.exceptions import MlflowException
from sqlalchemy import Connection, Engine, NullPool, create_engine, func, inspect, select
from sqlalchemy.exc import OperationalError

from .auth.contract import ADMIN_PASSWORD
from .backup import Instance
from .grants import grant_rows
from .migration_contract import INSTANCE, OWNER_URL, RUNTIME_ROLE
from .schema import RUNS, Schema

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

    @classmethod
    def of(cls, database: Connection, schema: Schema) -> "Revision":
        """Compare the database with the migrations that the mlflow package holds."""
        scripts = ScriptDirectory(str(schema.scripts))
        context = MigrationContext.configure(database, opts={"version_table": schema.table})
        current = context.get_current_revision()
        return cls(
            current=current,
            head=str(scripts.get_current_head()),
            known=current is None or current in {s.revision for s in scripts.walk_revisions()},
        )

    @property
    def behind(self) -> bool:
        """Whether there is something to do."""
        return self.current != self.head


def migrate(
    owner_url: str,
    *,
    runtime_role: str | None,
    instance: Instance | None,
    admin_password: str | None = None,
) -> None:
    """Upgrade what is behind, with a backup first, and renew the server's rights.

    Users log in where there is a password for the admin, who is made.
    """
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

        schemas = [RUNS]
        if admin_password:
            from .auth.users import USERS, make_admin  # with them comes all of MLflow's server

            schemas.append(USERS)
        found = {schema: Revision.of(database, schema) for schema in schemas}
        if any(each.behind for each in found.values()):
            _upgrade(database, owner_url, found, instance)
        else:
            heads = ", ".join(each.head for each in found.values())
            logger.info("The schema is current (%s)", heads)

        if admin_password:
            try:
                make_admin(database, admin_password)
            except MlflowException as error:
                raise MigrationFailed(error.message) from error
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
    database: Connection,
    owner_url: str,
    found: Mapping[Schema, Revision],
    instance: Instance | None,
) -> None:
    for revision in found.values():
        if not revision.known:
            raise MigrationFailed(
                f"The database has schema {revision.current}, which this MLflow does not know: a"
                " newer version wrote it. Deploy that version again, or restore the backup that was"
                " taken before its upgrade."
            )

    behind = {schema: revision for schema, revision in found.items() if revision.behind}
    step = " and ".join(
        f"{schema.name} {revision.current or 'nothing'} to {revision.head}"
        for schema, revision in behind.items()
    )
    undo = "No backup was taken."
    if all(table.startswith("alembic_") for table in inspect(database).get_table_names()):
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

    for schema, revision in behind.items():
        logger.info("Upgrading: %s to %s", schema.name, revision.head)
        try:
            schema.upgrade(owner_url)
        except Exception as error:
            left = Revision.of(database, schema).current
            state = (
                "The schema is unchanged, so servers of the old version go on."
                if left == revision.current
                else f"The schema was left at {left}."
            )
            raise MigrationFailed(f"Upgrade failed: {step}. {state} {undo}") from error
        logger.info("Upgraded to %s", revision.head)


def _stop(signum: int, _frame: FrameType | None) -> None:
    """Leave by an exception, so that Postgres undoes what is under way.

    The first process of a container ignores a signal that it has no handler for.
    """
    sys.exit(128 + signum)


def main() -> None:
    """Read the environment and migrate; what went wrong is the end of the log."""
    gc.freeze()
    gc.enable()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    signal.signal(signal.SIGTERM, _stop)
    instance = os.environ.get(INSTANCE)
    try:
        migrate(
            os.environ[OWNER_URL],
            runtime_role=os.environ.get(RUNTIME_ROLE),
            instance=Instance.named(instance) if instance else None,
            admin_password=os.environ.get(ADMIN_PASSWORD),
        )
    except MigrationFailed:
        logger.exception("The migration failed")
        sys.exit(1)


if __name__ == "__main__":
    main()
