"""A stack of the program on a real cluster: `platform: kubernetes`, with real pods."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from tests.cluster.cluster import Cluster
from tests.cluster.images import stores
from tests.cluster.images.docker import IMAGES, Docker
from tests.cluster.provider import ClusterProvider, cloud_on
from tests.cluster.provider.manifest import Manifest
from tests.engine.cloud import StandInCloud
from tests.local.stack import free_ports
from tests.program import Program, Refusal
from tools import pulumi_cli

__all__ = ["Refusal", "Stack", "made"]

PERSON = "system:serviceaccount:mlflow-training:ana"
"""Somebody in `access.people`: one whom any cluster gives a token."""


class Edit:
    """What is different where the tests run: nothing, unless a test says so."""

    def __init__(self) -> None:
        self.by: Callable[[Manifest], Manifest] | None = None

    def __call__(self, manifest: Manifest) -> Manifest:
        """Change what the program wants, before the engine or the cluster sees it."""
        return self.by(manifest) if self.by else manifest


class Stack(Program):
    """The committed stack `kind`, with the images, the context and the names of the tests."""

    def __init__(
        self, folder: Path, cluster: Cluster, docker: Docker, cloud: StandInCloud, edit: Edit
    ) -> None:
        self.cluster, self.docker, self._folder = cluster, docker, folder
        self._edit = edit
        self._outputs: dict[tuple[str, ...], dict[str, Any]] = {}
        programs = [str(Path(cluster.program).parent), os.environ["PATH"]]
        environment = {
            # Of all that is stood in for, the providers alone: Docker is a real one.
            "PULUMI_DEBUG_PROVIDERS": cloud.environment["PULUMI_DEBUG_PROVIDERS"],
            "PATH": os.pathsep.join(programs),
            "KUBECONFIG": str(cluster.kubeconfig),
            **docker.environment,
        }
        super().__init__("kind", folder, pulumi_cli.find(), environment)
        self._file = self.program / "Pulumi.kind.yaml"
        kubeconfig = yaml.safe_load(cluster.kubeconfig.read_text())
        self.settings = {
            key.removeprefix("mlflow-platform:"): value
            for key, value in yaml.safe_load(self._file.read_text())["config"].items()
        }
        base = {"trackingBase": docker.base, "trainingBase": docker.base} if docker.base else {}
        self.settings |= {
            "context": kubeconfig["current-context"],
            "images": {"registry": f"{docker.registry}/{IMAGES}", **base},
            "database": {
                "version": stores.POSTGRES_VERSION,
                "storageGib": 1,
                "image": stores.postgres(docker),
            },
            "objectStore": {"storageGib": 1, "image": stores.versitygw(docker)},
            "server": {"size": "small", "replicas": 2},
            "access": {"port": free_ports(1)[0], "people": [PERSON]},
        }

    def kubeconfig_of_person(self) -> Path:
        """Write it, while the stack is up. Python's client of Kubernetes knows no `as`."""
        *_, namespace, name = PERSON.split(":")
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        # It goes with the namespace.
        self.kubectl("apply", "--filename=-", stdin=json.dumps(account), namespace=namespace)
        token = self.kubectl("create", "token", name, "--duration=4h", namespace=namespace)
        known = yaml.safe_load(self.cluster.kubeconfig.read_text())
        users = [{"name": each["name"], "user": {"token": token}} for each in known["users"]]
        file = self._folder / "kubeconfig"
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump({**known, "users": users}))
        return file

    @property
    def serving(self) -> str:
        """Namespace of the server and its stores."""
        return str(self.settings["namespaces"]["serving"])

    @property
    def training(self) -> str:
        """Namespace of training Jobs."""
        return str(self.settings["namespaces"]["training"])

    def outputs(self, *options: str) -> dict[str, Any]:
        """Return what the stack exports; to ask once is enough, until the CLI does something."""
        if options not in self._outputs:
            self._outputs[options] = super().outputs(*options)
        return dict(self._outputs[options])

    def pulumi(self, *arguments: str) -> str:
        """Run the CLI with the settings as they are now."""
        if arguments[0] != "stack":
            self._outputs.clear()
        if hasattr(self, "settings"):
            config = {f"mlflow-platform:{key}": value for key, value in self.settings.items()}
            self._file.write_text(yaml.safe_dump({"config": config}))
        return super().pulumi(*arguments)

    @contextmanager
    def edited(self, by: Callable[[Manifest], Manifest]) -> Iterator[None]:
        """Have the cluster given something else than the program wants."""
        self._edit.by = by
        try:
            yield
        finally:
            self._edit.by = None

    def kubectl(self, *arguments: str, namespace: str | None = None, stdin: str = "") -> str:
        """Run kubectl as somebody who may do everything, by default beside the server."""
        return self.cluster.kubectl(
            f"--namespace={namespace or self.serving}", *arguments, stdin=stdin
        )

    def objects(self, kind: str, namespace: str | None = None) -> list[dict[str, Any]]:
        """All objects of a kind, by default beside the server."""
        listed = self.kubectl("get", kind, "--output=json", namespace=namespace)
        return list(json.loads(listed)["items"])

    def pods(self, component: str = "tracking") -> list[dict[str, Any]]:
        """Those of `tracking`, `database`, `objects` or `migration` that nobody has told to end."""
        label = ("app.kubernetes.io/component", component)
        return [
            pod
            for pod in self.cluster.pods(self.serving)
            if label in pod["metadata"].get("labels", {}).items()
            and "deletionTimestamp" not in pod["metadata"]
        ]

    @contextmanager
    def log(self, of: str, namespace: str) -> Iterator[IO[str]]:
        """What a pod has printed and will print, line by line."""
        command = [self.cluster.program, f"--kubeconfig={self.cluster.kubeconfig}"]
        command += [f"--namespace={namespace}", "logs", "--follow", of]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout
                yield process.stdout
            finally:
                process.terminate()

    @contextmanager
    def tunnel(self) -> Iterator[str]:
        """Open the tunnel as the stack says, for as long as the context lasts; its address.

        Who opens it is somebody in `access.people`, and may do no more than those may.
        """
        outputs = self.outputs()
        environment = self.environment | {"KUBECONFIG": str(self.kubeconfig_of_person())}
        # `exec`: what is ended is the tunnel itself, not a shell that leaves it behind.
        command = ["sh", "-c", f"exec {outputs['connectCommand']}"]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout
            try:
                said = process.stdout.readline()  # "Forwarding from", once it does
                assert said, "the tunnel did not open"
                yield str(outputs["trackingUri"])
            finally:
                process.terminate()

    def clear(self) -> None:
        """Leave the cluster as it was, without the time that servers have for their requests."""
        both = (self.serving, self.training)
        self.cluster.kubectl("delete", "namespace", *both, "--ignore-not-found", "--wait=false")
        for namespace in both:  # which refuses new pods by now
            self.kubectl("delete", "pods", "--all", "--grace-period=1", namespace=namespace)
            self.cluster.kubectl("wait", f"namespace/{namespace}", "--for=delete", "--timeout=120s")


@contextmanager
def made(cluster: Cluster, docker: Docker, folder: Path, patience: float = 20) -> Iterator[Stack]:
    """A stack that is not up yet; afterwards nothing of it is left in the cluster.

    `patience` is how many seconds a pod may look hopeless before the wait for it ends.
    """
    edit = Edit()
    provider = ClusterProvider(str(cluster.kubeconfig), edit=edit, patience=patience)
    with cloud_on(provider) as cloud:
        stack = Stack(folder, cluster, docker, cloud, edit)
        try:
            yield stack
        finally:
            stack.clear()
