"""The first process of a Job, against a real server, without a cluster."""

import ast
import io
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mlflow_platform_client import bootstrap, job, project, settings, store
from tests.processes import ended_with_the_test

CONFIG = {"namespace": "mlflow", "image": f"training@sha256:{7:064}"}


@pytest.fixture
def runs(server):
    return MlflowClient(server)


@pytest.fixture
def run_id(runs):
    return runs.create_run("0").info.run_id


@pytest.fixture
def package(server, tmp_path):
    """A small project, which the server has."""
    folder = tmp_path / "small"
    (folder / "part").mkdir(parents=True)
    (folder / "part" / "greeting").write_text("good morning\n")
    (folder / "train.sh").write_text("#!/bin/sh\ncat part/greeting\n")
    (folder / "train.sh").chmod(0o755)
    packed = project.pack(folder)
    store.put(packed, "0", server)
    return packed


@pytest.fixture
def start(server, run_id, tmp_path):
    """Start the container of a Job as the kubelet would: its command, its variables, no more."""
    with ended_with_the_test() as start:

        def started(digest, command, **variables):
            manifest = job.manifest(
                settings.read(CONFIG | {"tracking-uri": server}),
                project="small",
                run_id=run_id,
                experiment="0",
                digest=digest,
                command=command,
            )
            (container,) = manifest["spec"]["template"]["spec"]["containers"]
            told = {each["name"]: each["value"] for each in container["env"]} | variables
            folder = tmp_path / "project"
            folder.mkdir(exist_ok=True)
            python, *rest = (word.replace("$$", "$") for word in container["command"])
            assert python == "python"
            return start(
                [sys.executable, *rest],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], **told},
            )

        yield started


def test_a_command_runs_in_the_unpacked_project_and_its_run_is_finished(
    start, package, runs, run_id
):
    process = start(package.digest, "./train.sh && echo $MLFLOW_RUN_ID")

    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert said.endswith(f"good morning\n{run_id}\n")
    assert runs.get_run(run_id).info.status == "FINISHED"


def test_what_the_server_has_is_not_uploaded_again(package, server):
    assert not store.put(package, "0", server)
    assert store.put(project.Package(b"another", 1), "0", server)


@pytest.mark.parametrize(
    ("command", "code"), [("exit 3", 3), ("kill -9 $$", 137), ("no-such-program", 127)]
)
def test_a_command_that_fails_fails_the_run_and_the_container(
    start, package, runs, run_id, command, code
):
    process = start(package.digest, command)

    assert process.wait() == code
    run = runs.get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["failure"].startswith("the command ended with exit code")


def test_an_end_that_the_program_gave_its_run_stays(start, package, runs, run_id, tmp_path):
    runs.set_tag(run_id, "failure", "ValueError: no flights")
    process = start(package.digest, "until [ -e enough ]; do sleep 0.1; done; exit 1")
    assert process.stdout.readline().startswith("project")
    runs.set_terminated(run_id, "KILLED")
    (tmp_path / "project" / "enough").touch()

    process.wait()

    run = runs.get_run(run_id)
    assert (run.info.status, run.data.tags["failure"]) == ("KILLED", "ValueError: no flights")


TIDY = """\
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("tidied") or 143))
print("ready", flush=True)
signal.pause()
"""
"""Not a shell's: whatever a shell waits for is ended too, and it may say so before it tidies up."""


def test_sigterm_reaches_the_program_which_has_time_and_the_run_is_killed(
    start, package, runs, run_id
):
    process = start(package.digest, f"exec python -c '{TIDY}'")
    assert any(line == "ready\n" for line in process.stdout)

    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate()

    assert (process.returncode, said) == (bootstrap.TERMINATED, "tidied\n")
    run = runs.get_run(run_id)
    assert run.info.status == "KILLED"
    assert run.data.tags["stopped"] == bootstrap.TAKEN


def test_a_run_that_goes_on_after_its_machine_was_taken_back_runs_again(
    start, package, runs, run_id
):
    runs.set_terminated(run_id, "KILLED")

    assert start(package.digest, "true").wait() == 0

    assert runs.get_run(run_id).info.status == "FINISHED"


def test_a_package_that_somebody_changed_is_refused(start, package, server, runs, run_id, tmp_path):
    other = tmp_path / bootstrap.ARCHIVE
    other.write_bytes(b"anything")
    place = f"mlflow-artifacts:/0/{bootstrap.PLACE}/{package.digest}"
    store.get_artifact_repository(place, tracking_uri=server).log_artifact(str(other))

    process = start(package.digest, "echo ran")
    said, _ = process.communicate()

    assert process.returncode == 1
    assert "somebody changed it. Delete it from the artifact store" in said
    assert "ran\n" not in said
    assert "somebody changed it" in runs.get_run(run_id).data.tags["failure"]
    assert runs.get_run(run_id).info.status == "FAILED"


def test_a_package_that_is_gone_is_told_in_one_line(start, runs, run_id):
    process = start(f"{5:064x}", "echo ran")
    said, _ = process.communicate()

    assert process.returncode == 1
    assert "Traceback" not in said
    assert runs.get_run(run_id).info.status == "FAILED"


def test_a_project_that_cannot_be_unpacked_fails_the_run(start, package, runs, run_id, tmp_path):
    (tmp_path / "project" / "train.sh").mkdir(parents=True)
    process = start(package.digest, "echo ran")
    said, _ = process.communicate()

    assert process.returncode == 1
    assert said.startswith("error: ")
    assert "train.sh" in runs.get_run(run_id).data.tags["failure"]


def test_modules_of_the_image_do_not_stand_in_for_pythons_own(start, package, tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('not the standard library')\n")

    assert start(package.digest, "true", PYTHONPATH=str(tmp_path)).wait() == 0


def test_a_login_in_the_environment_is_sent(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server/")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ana")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a:b")
    assert bootstrap.Server("1").headers["Authorization"] == "Basic YW5hOmE6Yg=="

    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token")
    assert bootstrap.Server("1").headers["Authorization"] == "Bearer token"


@pytest.mark.parametrize("kind", ["../out", "/tmp/out", "link"])  # noqa: S108
def test_nothing_is_written_outside_of_the_project(tmp_path, kind):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo(kind)
        if kind == "link":
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    package = project.Package(packed.getvalue(), 1)
    folder = tmp_path / "project"
    folder.mkdir()

    with pytest.raises(bootstrap.Unusable, match="is no file of a project"):
        bootstrap.unpack(package.content, package.digest, str(folder))

    assert list(tmp_path.iterdir()) == [folder]
    assert list(folder.iterdir()) == []


def test_it_needs_nothing_but_python():
    """The image is whatever the backend config says."""
    imported = set()
    for node in ast.walk(ast.parse(Path(bootstrap.__file__).read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])

    assert imported - set(sys.stdlib_module_names) == set()
