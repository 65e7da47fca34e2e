"""One local stack of the real program, driven through the real CLI."""

import json
import socket
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.program import Program, Refusal

__all__ = ["SERVICES", "Refusal", "Stack", "free_ports"]

LEFT_OUT = ("Pulumi.*.yaml", "training")
SERVICES = ("postgres", "objects", "server")


class Stack(Program):
    """One with ports and data of its own, so that nobody's are touched."""

    def __init__(self, name: str, folder: Path, cli: Path) -> None:
        self.ports = dict(zip(("database", "objects", "server"), free_ports(3), strict=True))
        self.uri = f"http://127.0.0.1:{self.ports['server']}"
        self.settings: dict[str, Any] = {"platform": "local", "ports": self.ports}
        super().__init__(name, folder, cli, left_out=LEFT_OUT)
        self.data = self.program / ".local" / "stacks" / name

    def preview(self) -> str:
        return self.pulumi("preview")

    def resources(self) -> list[str]:
        """Names of our own resource types in the state."""
        found = json.loads(self.state())["deployment"].get("resources", [])
        return sorted(r["type"].rpartition(":")[2] for r in found if "dynamic/" in r["type"])

    def pulumi(self, *arguments: str) -> str:
        """Run the CLI with the settings as they are now."""
        config = {f"mlflow-platform:{key}": value for key, value in self.settings.items()}
        file = self.program / f"Pulumi.{self.name}.yaml"
        file.write_text(yaml.safe_dump({"config": config}))
        return super().pulumi(*arguments)

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
