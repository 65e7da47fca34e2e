"""A Pulumi program of a few Kubernetes objects, on a real cluster through the real engine."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests import preloaded
from tests.engine.cloud import StandInCloud
from tools import pulumi_cli
from tools.backend import FolderBackend

PROGRAM = '''\
"""Makes what `objects.json` says: by logical name, the SDK's class, arguments and options."""

import json
from functools import reduce
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

wanted = json.loads(Path(__file__).with_name("objects.json").read_text())
cluster = k8s.Provider("cluster", kubeconfig=wanted["kubeconfig"])
made = {}
for name, (kind, arguments, options) in wanted["objects"].items():
    after = [made[other] for other in options.get("after", [])]
    secrets = {key: pulumi.Output.secret(value) for key, value in options.get("secret", {}).items()}
    made[name] = reduce(getattr, kind.split("."), k8s)(
        name,
        **arguments,
        **secrets,
        opts=pulumi.ResourceOptions(
            provider=cluster,
            depends_on=after,
            custom_timeouts=pulumi.CustomTimeouts(create=options.get("create")),
        ),
    )
    pulumi.export(name, made[name].id)
'''


class Refusal(AssertionError):
    """The CLI ended with an error; carries all that it printed."""


class SmallProgram:
    """One stack of it, with a backend of its own."""

    def __init__(self, folder: Path, cli: Path, cloud: StandInCloud, kubeconfig: str) -> None:
        self._cli, self._kubeconfig = cli, kubeconfig
        self._folder, self.backend = folder / "program", FolderBackend(folder / "backend")
        self._folder.mkdir()
        self.backend.create()
        (self._folder / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
        (self._folder / "__main__.py").write_text(PROGRAM)
        self._environment = {
            **pulumi_cli.environment(self.backend),
            **preloaded.environment(),
            **cloud.environment,
        }
        self.pulumi("stack", "init", "test")
        self.objects: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {}

    def up(self, *options: str) -> str:
        return self._run("up", "--yes", "--skip-preview", *options)

    def preview(self, *options: str) -> list[tuple[str, str]]:
        """What an `up` would do to which object, without what stays as it is."""
        steps = json.loads(self._run("preview", "--json", *options))["steps"]
        named = [(step["op"], step["urn"].rsplit("::", 1)[-1]) for step in steps]
        return [step for step in named if step[0] != "same"]

    def refresh(self, *options: str) -> str:
        return self._run("refresh", "--yes", "--skip-preview", *options)

    def destroy(self) -> str:
        return self._run("destroy", "--yes", "--skip-preview")

    def ids(self) -> dict[str, str]:
        """By logical name, what the cluster calls the objects."""
        return dict(json.loads(self.pulumi("stack", "output", "--json")))

    def pulumi(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._cli, *arguments, "--non-interactive", "--color=never"],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Refusal(f"pulumi {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def _run(self, *arguments: str) -> str:
        wanted = {"kubeconfig": self._kubeconfig, "objects": self.objects}
        (self._folder / "objects.json").write_text(json.dumps(wanted))
        return self.pulumi(*arguments)
