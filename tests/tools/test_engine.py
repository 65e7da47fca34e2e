"""The CLI that was found runs a Python program with a resource of its own, in a folder backend."""

import json
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tools import pulumi_cli
from tools.backend import FolderBackend
from tools.project import ROOT

PROGRAM = """
import pulumi
from notes import Note

config = pulumi.Config("mlflow-platform")
Note("note", text=config.get("text") or "hello")
pulumi.export("secret", pulumi.Output.secret("canary-7f3a"))
if config.get("mood") == "refuse":
    raise pulumi.RunError("no mood: given refuse, allowed accept")
if config.get("mood") == "break":
    {}["mood"]
"""

NOTES = """
from pulumi.dynamic import CreateResult, Resource, ResourceProvider, UpdateResult

class Notes(ResourceProvider):
    def create(self, props):
        return CreateResult("1", props)

    def update(self, id, old, new):
        return UpdateResult(new)

class Note(Resource):
    def __init__(self, name, text, opts=None):
        super().__init__(Notes(), name, {"text": text}, opts)
"""

Pulumi = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def cli():
    return pulumi_cli.find()


@pytest.fixture
def project(tmp_path):
    """A small program with the real `Pulumi.yaml`."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(ROOT / "Pulumi.yaml", folder)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "__main__.py").write_text(PROGRAM)
    (folder / "notes.py").write_text(NOTES)
    (folder / "Pulumi.local.yaml").write_text("config:\n  mlflow-platform:platform: local\n")
    return folder


@pytest.fixture
def backend(tmp_path):
    return FolderBackend(tmp_path / "backend")


@pytest.fixture
def pulumi(cli, project, backend) -> Pulumi:
    """Runs a command of the CLI on the stack."""
    backend.create()
    env = pulumi_cli.environment(backend)
    backend.init(cli, "local", env, project)

    def run(verb: str, **settings: str) -> subprocess.CompletedProcess[str]:
        file = backend.config_file("local", project)
        with file.open("a") as text:
            text.writelines(
                f"  mlflow-platform:{key}: {value}\n" for key, value in settings.items()
            )
        command = [str(cli), verb, "--stack", "local", "--config-file", str(file)]
        return subprocess.run(
            [*command, "--yes", "--skip-preview", "--non-interactive"],
            cwd=project,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_stack_lives_and_dies_without_a_trace_in_the_project(pulumi, project, backend):
    before = sorted(f.name for f in project.iterdir() if f.name != "__pycache__")

    created, again = pulumi("up"), pulumi("up")
    changed, refreshed = pulumi("up", text="bye"), pulumi("refresh")
    state = json.loads(next(backend.folder.glob("state/.pulumi/stacks/*/local.json")).read_text())
    destroyed = pulumi("destroy")

    assert "+ 2 created" in created.stdout, created.stdout + created.stderr
    assert "2 unchanged" in again.stdout
    assert "~ 1 updated" in changed.stdout
    assert refreshed.returncode == 0
    assert "- 2 deleted" in destroyed.stdout
    assert "canary-7f3a" not in json.dumps(state)
    assert sorted(f.name for f in project.iterdir() if f.name != "__pycache__") == before
    assert "salt" not in (project / "Pulumi.local.yaml").read_text()


def test_a_refusal_of_the_program_is_shown_in_its_own_words_only(pulumi):
    answer = pulumi("up", mood="refuse")

    assert answer.returncode != 0
    assert "no mood: given refuse, allowed accept" in answer.stdout
    assert "Traceback" not in answer.stdout


def test_a_bug_in_the_program_is_shown_from_the_program_on(pulumi):
    answer = pulumi("up", mood="break")

    assert answer.returncode != 0
    assert "__main__.py" in answer.stdout
    assert "KeyError: 'mood'" in answer.stdout
    assert "runpy" not in answer.stdout
