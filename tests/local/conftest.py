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

from tools import pulumi_cli

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


@pytest.fixture
def page(tmp_path: Path) -> Callable[[str], str]:
    """Return what a page shows once its scripts have run."""
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
                f"--user-data-dir={tmp_path}",
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
