"""Stacks on this machine, and a run that must survive what the tests do to them."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from server.auth.contract import ADMIN_PASSWORD
from server.migration_contract import INSTANCE
from server.spec import MIGRATION_CONNECTIONS
from tools import pulumi_cli

from .migrations import CONNECTION_NAME, PASSWORD, environment
from .migrations import run as run_migration
from .roles import Postgres, postgres_with_roles
from .stack import Stack

# Our tests ask when an answer is due; a client that tries again for a minute would hide a failure.
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@dataclass(frozen=True)
class LoggedRun:
    """A run as a scientist's program logs it."""

    id: str
    experiment: str
    name: str = "brave-heron"
    note: str = "Took off at 06:15."

    @classmethod
    def log(cls, uri: str) -> "LoggedRun":
        from mlflow import MlflowClient

        client = MlflowClient(uri)
        experiment = client.create_experiment("flights")
        run = client.create_run(experiment, run_name=cls.name).info.run_id
        client.log_param(run, "depth", 7)
        client.log_metric(run, "accuracy", 0.875)
        client.log_text(run, cls.note, "notes/departure.txt")
        client.set_terminated(run)
        return cls(run, experiment)

    def assert_whole(self, uri: str) -> None:
        """The server still knows every part of it."""
        from mlflow import MlflowClient

        client = MlflowClient(uri)
        run = client.get_run(self.id)
        assert (run.data.params, run.data.metrics) == ({"depth": "7"}, {"accuracy": 0.875})
        with tempfile.TemporaryDirectory() as folder:
            note = Path(client.download_artifacts(self.id, "notes/departure.txt", folder))
            assert note.read_text() == self.note


@pytest.fixture(scope="session")
def cli() -> Path:
    """The Pulumi CLI that `make` would use."""
    return pulumi_cli.find()


@pytest.fixture(scope="session")
def new_stack(cli: Path) -> Callable[[str], Stack]:
    """Make a stack that is not up yet, in a closed folder with a space in its name."""

    @contextmanager
    def make(name: str) -> Iterator[Stack]:
        folder = Path(tempfile.mkdtemp(prefix="mlflow platform "))
        stack = Stack(name, folder, cli)
        try:
            yield stack
        finally:
            if stack.processes():
                stack.destroy()
            left = stack.processes()
            for process in left:
                process.kill()
            shutil.rmtree(folder)
            assert left == [], "destroy left processes behind"

    return make


@pytest.fixture(scope="session")
def stack(new_stack) -> Iterator[Stack]:
    """A stack that is up. Whoever breaks it brings it up again."""
    with new_stack("first") as stack:
        stack.up()
        yield stack


@pytest.fixture(scope="session")
def run(stack) -> LoggedRun:
    return LoggedRun.log(stack.uri)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory) -> Iterator[Postgres]:
    """One for all that needs the roles of Cloud SQL, each with databases of its own."""
    with postgres_with_roles(tmp_path_factory.mktemp("postgres")) as postgres:
        yield postgres


@pytest.fixture(scope="session")
def migrated(postgres) -> str:
    """A database to copy, that was empty and has been migrated once, by a process of its own.

    Postgres refuses it more connections than the budget sets aside for a migration, and it has
    no credentials to ask for a backup: there is nothing yet to back up.
    """
    name: str = postgres.create()
    told = {INSTANCE: CONNECTION_NAME, ADMIN_PASSWORD: PASSWORD}
    postgres.execute(name, f"ALTER ROLE owner CONNECTION LIMIT {MIGRATION_CONNECTIONS}")
    done = run_migration(environment(postgres, name, **told))
    postgres.execute(name, "ALTER ROLE owner CONNECTION LIMIT -1")
    assert done.returncode == 0, done.stdout + done.stderr
    return name


@pytest.fixture(scope="session")
def equal() -> Iterator[dict[str, str]]:
    """URLs of three equal databases with MLflow's schema, by what they are for."""
    from .databases import equal_databases

    names = ["lost", "stock", "tuned"]
    with equal_databases(names, durable=False) as urls:
        yield dict(zip(names, urls, strict=True))


@pytest.fixture(scope="session")
def page(tmp_path_factory) -> Callable[[str], str]:
    """Return what a page shows once its scripts have run.

    The browser keeps what it has made of the scripts, which are megabytes.
    """
    profile = tmp_path_factory.mktemp("browser")
    if BROWSER is None and not os.environ.get("CI"):
        pytest.skip("no chromium or google-chrome on PATH")

    def show(url: str) -> str:
        assert BROWSER, "no chromium on PATH, and CI is set"
        return subprocess.run(
            [
                BROWSER,
                "--headless",
                "--no-sandbox",  # root needs it, as in most containers
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                f"--user-data-dir={profile}",
                "--virtual-time-budget=60000",
                "--dump-dom",
                url,
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        ).stdout

    return show
