"""The stack's outputs, all that this package knows of it."""

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .problem import Problem

OUTPUT = "pulumi stack output --json --show-secrets --stack"

HIDDEN = "[secret]"
"""What the CLI writes in the place of a secret, unless it is told to show them."""


@dataclass(frozen=True, kw_only=True)
class Handoff:
    """The outputs of any platform; `None` where one has no meaning there."""

    tracking_uri: str
    tracking_uri_in_cluster: str
    server_version: str
    namespace: str | None = None
    connect_command: str | None = None
    """Shell command that opens the tunnel, and stays; nothing where `tracking_uri` answers."""
    training_image: str | None = None
    """By digest."""
    training_image_tagged: str | None = None
    """The same one by its tag; nothing where no registry has it."""
    training_service_account: str | None = None
    accelerator: str | None = None
    admin_user: str | None = None
    admin_password: str | None = None

    @property
    def context(self) -> str | None:
        """Of the kubeconfig, as the tunnel has it; nothing stands for the current one."""
        named = self._options
        if "get-credentials" not in named:
            return named.get("--context")
        # As gcloud names it.
        parts = (named.get("--project"), named.get("--location"), named["get-credentials"])
        return "_".join(["gke", *map(str, parts)]) if all(parts) else None

    @property
    def kubeconfig(self) -> str | None:
        """Its path, where it is not the one that kubectl takes."""
        return self._options.get("--kubeconfig")

    @property
    def _options(self) -> dict[str, str]:
        """Each word of the tunnel's command and what follows it, after `=` or a space."""
        words = shlex.split(self.connect_command or "")
        apart = dict(zip(words, words[1:], strict=False))
        return apart | dict(word.split("=", 1) for word in words if "=" in word)


def of_stack(stack: str) -> Handoff:
    """Ask the Pulumi CLI, in the folder where one is."""
    if shutil.which("pulumi") is None:
        raise Problem(
            f"pulumi is not on PATH, so stack {stack} cannot be asked. Ask whoever runs it for the "
            f"output of `pulumi stack output --json --stack {stack}` in a file, and type: "
            f"mlflow-platform connect {stack} --outputs FILE"
        )
    asked = subprocess.run(
        [*OUTPUT.split(), stack],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        raise Problem(
            f"pulumi does not tell of stack {stack}: {asked.stderr.strip()}\n"
            "Type it in the folder of Pulumi.yaml, with the login and passphrase of that stack."
        )
    return parse(asked.stdout, f"stack {stack}")


def of_file(file: Path) -> Handoff:
    """Read outputs that somebody else has asked for."""
    try:
        return parse(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"--outputs {file} cannot be read: {error}") from error


def parse(text: str, source: str) -> Handoff:
    """Read the JSON of `pulumi stack output`; outputs of later versions are left alone."""
    try:
        outputs = json.loads(text)
    except ValueError as error:
        raise Problem(f"{source} is not JSON, which `{OUTPUT} STACK` prints: {error}") from error
    if not isinstance(outputs, dict):
        raise Problem(f"{source} holds no outputs; give it what `{OUTPUT} STACK` prints")
    known: dict[str, Any] = {
        field.name: outputs[_camel(field.name)]
        for field in fields(Handoff)
        if outputs.get(_camel(field.name)) not in (None, HIDDEN)
    }
    needed = ("tracking_uri", "tracking_uri_in_cluster", "server_version")
    if missing := [_camel(name) for name in needed if name not in known]:
        raise Problem(f"{source} has no {', '.join(missing)}. Type: pulumi up")
    return Handoff(**known)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
