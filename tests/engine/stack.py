"""One stack of the real program, driven through the real CLI against the stand-in cloud."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import pulumi_cli
from tools.backend import FolderBackend
from tools.project import ROOT

from .cloud import StandInCloud
from .dependencies import token
from .tokens import BUCKET

NOT_PART_OF_THE_PROGRAM = (".*", "__pycache__", "tests", "docs", "benchmarks")


PROJECT = "acme-ml-123456"
"""The one thing that the committed stack files for Google Cloud leave to the user."""


@dataclass(frozen=True)
class Step:
    """What a preview says will happen to one resource."""

    action: str
    type: str
    name: str
    because: tuple[str, ...]
    """The properties that force a replacement."""


class Refusal(AssertionError):
    """The CLI ended with an error."""


class Stack:
    """A copy of the program with a backend of its own, so that nothing of the user's changes."""

    def __init__(self, name: str, folder: Path, cloud: StandInCloud, cli: Path) -> None:
        self.name, self.cloud, self.cli = name, cloud, cli
        self.program, self.backend = folder / "program", FolderBackend(folder / "backend")
        self.backend.create()
        ignored = shutil.ignore_patterns(*NOT_PART_OF_THE_PROGRAM)
        shutil.copytree(ROOT, self.program, ignore=ignored)
        self.environment = {**pulumi_cli.environment(self.backend), **cloud.environment}
        self.pulumi("stack", "init", name)
        if "platform: gke" in (self.program / f"Pulumi.{name}.yaml").read_text():
            self.set("project", PROJECT)

    def set(self, key: str, value: object) -> None:
        """Change one setting, `database.tier` for example, as a person would."""
        text = json.dumps(value) if not isinstance(value, str) else value
        self.pulumi("config", "set", "--path", f"mlflow-platform:{key}", text)

    def preview(self) -> list[Step]:
        """List what an `up` would do, without what stays as it is."""
        answer = json.loads(self.pulumi("preview", "--json"))
        steps = [
            Step(
                action=step["op"],
                type=token(step["urn"]),
                name=step["urn"].rsplit("::", 1)[-1],
                because=tuple(step.get("replaceReasons") or ()),
            )
            for step in answer["steps"]
        ]
        return [step for step in steps if step.action != "same"]

    def up(self, *options: str) -> str:
        """Apply, without a preview first unless asked."""
        return self.pulumi("up", "--yes", "--skip-preview", *options)

    def refresh(self, *options: str) -> str:
        """Read everything from the cloud."""
        return self.pulumi("refresh", "--yes", "--skip-preview", *options)

    def destroy(self, *options: str) -> str:
        """Delete everything."""
        return self.pulumi("destroy", "--yes", *options)

    def resources(self) -> list[dict[str, Any]]:
        """List the resources as the state holds them."""
        deployment = json.loads(self.pulumi("stack", "export"))["deployment"]
        return list(deployment.get("resources") or [])

    def outputs(self, *options: str) -> dict[str, Any]:
        """Return what the stack exports."""
        return dict(json.loads(self.pulumi("stack", "output", "--json", *options)))

    def pulumi(self, *arguments: str) -> str:
        """Run the CLI; an error of the CLI is an error of the test, with everything it printed."""
        done = subprocess.run(
            [self.cli, *arguments, "--non-interactive", "--color=never"],
            cwd=self.program,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Refusal(f"pulumi {' '.join(arguments)}\n{_readable(done.stdout)}{done.stderr}")
        return done.stdout


def fill_buckets(stack: Stack) -> None:
    """Leave behind what builds and training runs do."""
    for bucket in stack.cloud.world.of(BUCKET):
        stack.cloud.world.objects[bucket.id] = 1


def _readable(output: str) -> str:
    """What a failed command said; of a preview in JSON only its messages."""
    if not output.startswith("{"):
        return output
    return "".join(each["message"] for each in json.loads(output).get("diagnostics", []))
