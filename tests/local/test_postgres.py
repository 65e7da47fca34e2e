"""Postgres and its files, without an engine."""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from components.local.account import account, run_as
from components.local.postgres import PostgresService
from components.local.postgres_files import PostgresFiles
from components.local.process import NotStarted, Process

from .stack import free_ports


@pytest.fixture
def files():
    # Not pytest's own folder: it closes that to others again, who may be in the middle of a test.
    folder = Path(tempfile.mkdtemp(prefix="mlflow-platform-"))
    yield PostgresFiles(folder / "files", account())
    shutil.rmtree(folder)


def test_an_attempt_that_was_broken_off_is_made_anew(files, monkeypatch):
    monkeypatch.setattr(PostgresFiles, "_run", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        files.create()
    assert not files.folder.exists()
    monkeypatch.undo()

    files.create()

    assert (files.data / "PG_VERSION").read_text() == "18\n"


def test_data_that_exist_are_left_as_they_are(files):
    (files.data).mkdir(parents=True)

    files.create()

    assert list(files.folder.iterdir()) == [files.data]


def test_what_initdb_says_is_told(files, monkeypatch):
    monkeypatch.setattr("components.local.postgres_files.INITDB", ["--no-such-option"])

    with pytest.raises(NotStarted, match="initdb could not make the database:(.|\n)*no-such-opt"):
        files.create()


def test_a_path_with_a_space_is_a_proper_url():
    url = PostgresFiles(Path("/home/me/my work"), "").url("mlflow", "127.0.0.1", 5432)

    assert url == (
        "postgresql+psycopg2://mlflow@127.0.0.1:5432/mlflow"
        "?passfile=/home/me/my%20work/mlflow.pgpass"
    )


def test_a_pid_that_another_program_has_by_now_does_not_keep_it_from_starting(files):
    """As after a power cut: Postgres could not remove its own pid file."""
    process = Process("Postgres", files.folder.parent)
    inputs = {"port": free_ports(1)[0], "connections": 4}
    process.new_log()
    files.create()
    other = subprocess.Popen(run_as(account(), [shutil.which("sleep"), "1000"]))
    (files.data / "postmaster.pid").write_text(f"{other.pid}\n{files.data}\n")

    try:
        assert PostgresService().start(process, inputs)["runtime_role"] == "mlflow"
        assert other.poll() is None
    finally:
        process.stop(signal.SIGINT)
        other.kill()
        other.wait()
