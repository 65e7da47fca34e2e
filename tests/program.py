"""The real program, driven through the real CLI."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import preloaded
from tools import pulumi_cli
from tools.backend import FolderBackend
from tools.project import ROOT

NOT_PART_OF_IT = (
    *(".ci", ".env", ".git*", ".local", ".venv", ".*_cache", "__pycache__"),
    *("tests", "docs", "benchmarks"),
)
"""Of what lies in a checkout. What `.dockerignore` says is part of it."""


class Refusal(AssertionError):
    """The CLI ended with an error."""


class Program:
    """A copy of it with one stack and a backend of its own, so that nothing of the user's changes.

    What `up` and the like do to which cloud or machine is up to the `environment`.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        cli: Path,
        environment: Mapping[str, str] | None = None,
        left_out: Sequence[str] = (),
    ) -> None:
        self.name, self.cli = name, cli
        self.program, self.backend = folder / "program", FolderBackend(folder / "backend")
        self.backend.create()
        ignored = shutil.ignore_patterns(*NOT_PART_OF_IT, *left_out)
        shutil.copytree(ROOT, self.program, ignore=ignored)
        self.environment = {
            **pulumi_cli.environment(self.backend),
            **preloaded.environment(),
            **(environment or {}),
        }
        self.pulumi("stack", "init", name)

    def set(self, key: str, value: object) -> None:
        """Change one setting, `database.tier` for example, as a person would."""
        text = json.dumps(value) if not isinstance(value, str) else value
        self.pulumi("config", "set", "--path", f"mlflow-platform:{key}", text)

    def up(self, *options: str) -> str:
        """Apply, without a preview first unless asked."""
        return self.pulumi("up", "--yes", "--skip-preview", *options)

    def refresh(self, *options: str) -> str:
        """Read everything that there is."""
        return self.pulumi("refresh", "--yes", "--skip-preview", *options)

    def destroy(self, *options: str) -> str:
        """Delete everything."""
        return self.pulumi("destroy", "--yes", "--skip-preview", *options)

    def outputs(self, *options: str) -> dict[str, Any]:
        """Return what the stack exports."""
        return dict(json.loads(self.pulumi("stack", "output", "--json", *options)))

    def state(self) -> str:
        """Return the state, with its secrets locked."""
        return self.pulumi("stack", "export")

    def pulumi(self, *arguments: str) -> str:
        """Run the CLI; its error is an error of the test, with everything that it printed."""
        done = subprocess.run(
            [self.cli, *arguments, "--non-interactive", "--color=never"],
            cwd=self.program,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Refusal(f"pulumi {' '.join(arguments)}\n{_readable(done.stdout)}{done.stderr}")
        return done.stdout


def _readable(output: str) -> str:
    """What a failed command said; of a preview in JSON only its messages."""
    if not output.startswith("{"):
        return output
    return "".join(each["message"] for each in json.loads(output).get("diagnostics", []))
