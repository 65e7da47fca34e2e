"""Migrations in processes of their own: one as the product starts it, or several at once.

`python -m tests.local.migrations LOG...` makes one that writes to each of these files. They are
forks of a process that has imported everything, which takes seconds: so they do meet.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from server.migration_contract import OWNER_URL, RUNTIME_ROLE
from tests import preloaded
from tools.project import ROOT

from .roles import RUNTIME, Postgres

PASSWORD = "correct horse battery"
CONNECTION_NAME = "project:europe-west4:mlflow-1a2b"


def environment(postgres: Postgres, database: str, **changes: str) -> dict[str, str]:
    """What a migration is told."""
    return {OWNER_URL: postgres.url(database, "owner"), RUNTIME_ROLE: RUNTIME, **changes}


def run(
    environment: dict[str, str], module: str = "server.migration", arguments: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run it to its end, however that is."""
    return subprocess.run(
        [preloaded.python(), "-m", module, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def at_once(environment: dict[str, str], logs: Sequence[Path]) -> list[tuple[int, str]]:
    """How each of several ended, and what it said."""
    done = run(environment, "tests.local.migrations", [*map(str, logs)])
    assert done.returncode == 0, done.stdout + done.stderr
    statuses = map(int, done.stdout.split())
    return [*zip(statuses, (log.read_text() for log in logs), strict=True)]


def main() -> None:
    """Say how each ended."""
    from server import migration
    from server.auth import users  # noqa: F401  # as a migration does that makes an admin

    processes = []
    for log in sys.argv[1:]:
        if (process := os.fork()) == 0:
            file = os.open(log, os.O_WRONLY | os.O_CREAT)
            for output in sys.stdout, sys.stderr:
                os.dup2(file, output.fileno())
            migration.main()
            # To take down all of MLflow takes as long as the migration.
            os._exit(0)
        processes.append(process)
    print(*(os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in processes))


if __name__ == "__main__":
    main()
