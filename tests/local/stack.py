"""One local stack of the real program, driven through the real CLI."""

import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import psutil
import yaml

from tools import pulumi_cli
from tools.backend import FolderBackend
from tools.project import ROOT

NOT_PART_OF_THE_PROGRAM = (".*", "__pycache__", "Pulumi.*.yaml", "tests", "docs", "training")
SERVICES = ("postgres", "objects", "server")


class Refusal(AssertionError):
    """The CLI ended with an error."""


class Stack:
    """A copy of the program with its own backend, ports and data, so that nobody's are touched."""

    def __init__(self, name: str, folder: Path, cli: Path) -> None:
        self.name, self.cli = name, cli
        self.program, self.backend = folder / "program", FolderBackend(folder / "backend")
        ignored = shutil.ignore_patterns(*NOT_PART_OF_THE_PROGRAM)
        shutil.copytree(ROOT, self.program, ignore=ignored)
        self.data = self.program / ".local" / "stacks" / name
        self.ports = dict(zip(("database", "objects", "server"), free_ports(3), strict=True))
        self.uri = f"http://127.0.0.1:{self.ports['server']}"
        self.settings: dict[str, Any] = {"platform": "local", "ports": self.ports}
        self.backend.create()
        self.environment = pulumi_cli.environment(self.backend)
        self.pulumi("stack", "init", name)

    def up(self, *options: str) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", *options)

    def preview(self) -> str:
        return self.pulumi("preview")

    def refresh(self) -> str:
        return self.pulumi("refresh", "--yes", "--skip-preview")

    def destroy(self) -> str:
        return self.pulumi("destroy", "--yes", "--skip-preview")

    def outputs(self) -> dict[str, Any]:
        return dict(json.loads(self.pulumi("stack", "output", "--json")))

    def state(self) -> str:
        return self.pulumi("stack", "export")

    def resources(self) -> list[str]:
        """Names of our own resource types in the state."""
        found = json.loads(self.state())["deployment"].get("resources", [])
        return sorted(r["type"].rpartition(":")[2] for r in found if "dynamic/" in r["type"])

    def pulumi(self, *arguments: str) -> str:
        """Run the CLI; its error is an error of the test, with everything that it printed."""
        config = {f"mlflow-platform:{key}": value for key, value in self.settings.items()}
        file = self.program / f"Pulumi.{self.name}.yaml"
        file.write_text(yaml.safe_dump({"config": config}))
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
            raise Refusal(f"pulumi {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def edit(self, file: str, old: str, new: str) -> None:
        """Change the program."""
        path = self.program / file
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))

    def pid(self, service: str) -> int:
        """Process id of one of `SERVICES`."""
        return int(json.loads((self.data / service / "process.json").read_text())["pid"])

    def pids(self) -> dict[str, int]:
        return {service: self.pid(service) for service in SERVICES}

    def processes(self) -> list[psutil.Process]:
        """Everything on this machine that works in this stack's folders or is told of them."""
        return [p for p in psutil.process_iter() if str(self.data) in _whereabouts(p)]

    def passwords(self) -> list[str]:
        files = list(self.data.glob("postgres/**/*.pgpass"))
        assert len(files) == 2
        return [file.read_text().strip().rpartition(":")[2] for file in files]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _whereabouts(process: psutil.Process) -> str:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return " ".join([process.cwd(), *process.cmdline()])
    except psutil.Error:
        return ""
