"""`make up`, `preview`, `refresh` and `down`: the same commands of the Pulumi CLI, for any stack.

A stack of the local platform lives in the project's own folder and asks no questions. Any other
stack is the user's: their login, their backend, Pulumi's own questions.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from platforms import local_stack
from tools import child, logged, pulumi_cli, virtualenv
from tools.backend import FolderBackend
from tools.project import ROOT

NAMESPACE = "mlflow-platform:"
COMMANDS = {"up": "up", "preview": "preview", "refresh": "refresh", "down": "destroy"}
UNASKED = {
    "up": ("--yes", "--skip-preview"),
    "preview": (),
    # What an interrupted `up` had begun to create is there or is not: the next `up` finds out.
    "refresh": ("--yes", "--skip-preview", "--clear-pending-creates"),
    "down": ("--yes", "--skip-preview"),
}
"""Options of a local stack, which costs nothing and can be made again; others ask first."""
DELETE = "delete"


class NoStack(Exception):
    """The stack asked for is not one of this project's, or cannot do what was asked."""


@dataclass(frozen=True)
class ProjectStack:
    """One `Pulumi.<name>.yaml` of this project."""

    name: str

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The keys of the stack file that are the project's own, without their prefix."""
        file = ROOT / f"Pulumi.{self.name}.yaml"
        if not file.exists():
            known = sorted(f.name.split(".")[1] for f in ROOT.glob("Pulumi.*.yaml"))
            raise NoStack(
                f"there is no Pulumi.{self.name}.yaml; the stacks of this project are "
                f"{', '.join(known)}. Type: make up STACK={known[0] if known else 'local'}"
            )
        config = (yaml.safe_load(file.read_text()) or {}).get("config", {})
        return {k.removeprefix(NAMESPACE): v for k, v in config.items() if NAMESPACE in k}

    @property
    def is_local(self) -> bool:
        """Whether the stack runs on this machine, with nothing but this folder."""
        return self.settings.get("platform") == "local"

    @property
    def data(self) -> Path:
        """Where a local stack keeps runs, models and logs."""
        return local_stack.Stack(
            stack=self.name, platform="local", data_directory=self.settings.get("dataDirectory")
        ).data


@dataclass(frozen=True)
class Commander:
    """The CLI, ready to be given a command for one stack."""

    cli: Path
    environment: dict[str, str]
    arguments: tuple[str, ...]

    def command(self, verb: str, *more: str) -> list[str]:
        """The whole command line of one of `COMMANDS`."""
        return [str(self.cli), COMMANDS[verb], *self.arguments, *more]


def prepare(stack: ProjectStack) -> Commander:
    """Find the CLI and have the stack created, in the backend where it belongs."""
    if stack.is_local:
        cli = pulumi_cli.find()
        backend = FolderBackend()
        backend.create()
        backend.unlock()
        environment = pulumi_cli.environment(backend)
        backend.init(cli, stack.name, environment)
        own = ("--stack", stack.name, "--config-file", str(backend.config_file(stack.name)))
        return Commander(cli, environment, own)
    virtualenv.ensure("all")
    cli = pulumi_cli.find()
    environment = pulumi_cli.environment()
    # The stack file is in the project, so the name is meant; a first `up` should not stop there.
    select = [str(cli), "stack", "select", stack.name, "--create"]
    subprocess.run(select, env=environment, cwd=ROOT, check=True)
    return Commander(cli, environment, ("--stack", stack.name))


def execute(verb: str, stack: ProjectStack, more: Sequence[str] = ()) -> int:
    """Run one of `COMMANDS` on a stack and return how the CLI ended."""
    commander = prepare(stack)
    command = commander.command(verb, *(UNASKED[verb] if stack.is_local else ()), *more)
    return child.run(command, env=commander.environment, cwd=ROOT)


def clear(stack: ProjectStack, wish: str) -> None:
    """Remove the data of a local stack that was destroyed, if that is the wish; say where it is."""
    if not stack.data.exists():
        print("Stopped; there is no data.")
    elif wish == DELETE:
        shutil.rmtree(stack.data)
        print(f"Stopped, and removed all runs, models and logs: {stack.data}")
    else:
        print(f"Stopped. Runs, models and logs are kept in {stack.data}")
        print("`make up` brings them back; `make down DATA=delete` removes them.")


def main(verb: str, name: str, *more: str) -> int:
    """Do what the Makefile was asked to; `DATA=delete` goes with `down` of a local stack."""
    stack, wish = ProjectStack(name), os.environ.get("DATA", "")
    if wish not in ("", DELETE):
        raise NoStack(f"DATA={wish} means nothing; type DATA={DELETE}, or leave it out")
    if wish and not (stack.is_local and verb == "down"):
        raise NoStack(f"DATA={DELETE} only goes with `make down` of a local stack; leave it out")
    code = execute(verb, stack, more)
    if code == 0 and verb == "down" and stack.is_local:
        clear(stack, wish)
    return code


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (NoStack, pulumi_cli.NoPulumi, virtualenv.NoPython, logged.CommandFailed) as problem:
        sys.exit(f"error: {problem}")
    except subprocess.CalledProcessError as problem:
        sys.exit(problem.returncode)  # Pulumi has said why
    except KeyboardInterrupt:
        sys.exit(130)
