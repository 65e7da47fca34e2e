"""A Pulumi backend that lives whole in one folder."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools import logged
from tools.project import LOCAL, ROOT


@dataclass(frozen=True)
class FolderBackend:
    """State, passphrase and Pulumi's own settings in one folder; nothing of the user's is touched.

    Pulumi writes a salt that fits only this folder's passphrase into `Pulumi.<stack>.yaml`, which
    is committed and would look edited in every clone. `stack init` has no option to put it
    elsewhere; so the stack is created from a throw-away copy of `Pulumi.yaml`, other commands get
    a copy of the stack file by `--config-file`, and the salt is found in the state.
    """

    folder: Path = LOCAL

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that make the CLI use this backend."""
        return {
            "PULUMI_HOME": str(self.folder / "pulumi"),
            "PULUMI_BACKEND_URL": (self.folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.folder / "passphrase"),
            "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
        }

    def create(self) -> None:
        """Make the folder and a random passphrase, unless they exist."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "state").mkdir(mode=0o700, exist_ok=True)
        passphrase = self.folder / "passphrase"
        if not passphrase.exists():
            passphrase.touch(mode=0o600)
            passphrase.write_text(secrets.token_urlsafe(32))

    def has(self, stack: str) -> bool:
        """Whether the stack was ever created here."""
        return any((self.folder / "state/.pulumi/stacks").glob(f"*/{stack}.json"))

    def init(self, cli: Path, stack: str, env: Mapping[str, str], project: Path = ROOT) -> None:
        """Create the stack, unless it exists."""
        if self.has(stack):
            return
        with tempfile.TemporaryDirectory() as copy:
            shutil.copy(project / "Pulumi.yaml", copy)
            command = [str(cli), "stack", "init", stack, "--no-select", "--non-interactive"]
            logged.run("stack-init", [*command, "-C", copy], env)

    def unlock(self) -> None:
        """Remove locks whose holder on this machine is gone: killed, or lost with the power."""
        for file in (self.folder / "state/.pulumi/locks").glob("**/*.json"):
            lock = json.loads(file.read_text())
            if lock["hostname"] == socket.gethostname() and not alive(lock["pid"]):
                file.unlink()

    def config_file(self, stack: str, project: Path = ROOT) -> Path:
        """A copy of the stack's settings that the CLI may write to."""
        return Path(shutil.copy(project / f"Pulumi.{stack}.yaml", self.folder))


def alive(pid: int) -> bool:
    """Whether a process of this machine still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
