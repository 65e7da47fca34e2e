"""Docker's client with something to talk to, and a registry to push to."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.build_context import BuildContext
from tests.cluster import requirements
from tests.cluster.enclosure import Enclosure
from tests.cluster.images import base, registry, store
from tests.cluster.images.podman import Podman
from tests.local.stack import free_ports
from tools import progress
from tools.project import PYTHON

START_SECONDS = 120
GIVEN = "TEST_REGISTRY"
BASE = "localhost/mlflow-platform-base"

IMAGES = "mlflow-platform"
"""The folder of a registry for what is built of ours, where all tests look for it."""


@dataclass(frozen=True)
class Docker:
    """What a shell needs for `docker build` and `docker push` to work."""

    environment: dict[str, str]
    """To be added to one's own."""
    registry: str
    """Where to push, and what nodes pull from."""
    base: str | None
    """An image with Python to build on; nothing where the Dockerfile's own can be pulled."""

    def run(self, *arguments: str) -> str:
        """Run Docker's client and return what it printed."""
        ended = subprocess.run(
            ["docker", *arguments],
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"docker {' '.join(arguments)}:\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    def image(self, name: str, folder: str, *beside: Path, **arguments: str) -> str:
        """Build and push one of our folders, unless it is there, and return it by its digest.

        Files beside its own have no part in what it is known by: an argument has to tell them.
        """
        base = {"BASE": self.base} if self.base else {}
        context = BuildContext(folder, base | arguments)
        image = f"{self.registry}/{IMAGES}/{name}"
        with store.building(name):
            if self.digest(f"{image}:{context.tag}") is None:
                self._build(f"{image}:{context.tag}", context, *beside)
        return f"{image}@{self.digest(f'{image}:{context.tag}')}"

    def _build(self, image: str, context: BuildContext, *beside: Path) -> None:
        with (
            progress.step(f"Image {image}", expect="one to three minutes, once"),
            tempfile.TemporaryDirectory() as source,
        ):
            context.copy_to(Path(source))
            for file in beside:
                shutil.copy(file, source)
            options = [f"--build-arg={k}={v}" for k, v in context.arguments.items()]
            self.run("build", f"--tag={image}", *options, source)
            self.run("push", image)

    def alias(self, image: str, name: str) -> None:
        """Have the registry serve an image, known by its digest, under another name as well."""
        registry.alias(self.registry, image.removeprefix(f"{self.registry}/"), name)

    def digest(self, image: str) -> str | None:
        """What the registry knows of a tag."""
        known = self._inspected(image)
        return known["Descriptor"]["digest"] if known else None

    def size(self, image: str) -> int:
        """The bytes that a node pulls, if it has nothing of the image yet."""
        known = self._inspected(image)
        assert known is not None, f"there is no {image}"
        manifest = known.get("OCIManifest") or known["SchemaV2Manifest"]
        return sum(layer["size"] for layer in manifest["layers"])

    def _inspected(self, image: str) -> Any:
        # The registry is asked without TLS where it is on loopback, but only if one says so.
        inspect = ["docker", "manifest", "inspect", "--insecure", "--verbose", image]
        environment = os.environ | self.environment
        ended = subprocess.run(inspect, env=environment, capture_output=True, check=False)
        return json.loads(ended.stdout) if ended.returncode == 0 else None


@contextmanager
def started() -> Iterator[Docker]:
    """A daemon and a registry for as long as the context lasts; what they hold is kept.

    With a cluster that was given, the registry is one that it pulls from, and Docker the user's.
    """
    if given := os.environ.get(GIVEN):
        yield Docker({}, given, None)
        return
    if os.environ.get("TEST_KUBECONFIG"):
        raise requirements.CannotRun(
            f"TEST_KUBECONFIG is set, and {GIVEN} is not. It is to name a registry that Docker may "
            f"push to and the cluster pulls from, as in: export {GIVEN}=localhost:5001"
        )
    requirements.check(requirements.IMAGES)
    archive = base.archive()
    enclosure = Enclosure.fresh("images")
    with store.own("built") as built:
        podman = Podman(enclosure.folder, built)
        address = f"127.0.0.1:{_port(built)}"
        module = [str(PYTHON), "-m", "tests.cluster.images.serve"]
        command = [*module, str(enclosure.folder), str(built), address]
        with enclosure.opened(command, network=False, within=START_SECONDS):
            environment = {
                "DOCKER_HOST": f"unix://{podman.socket}",
                "DOCKER_CONFIG": str(enclosure.folder / "docker"),
                # The other builder is a plug-in that podman does not serve.
                "DOCKER_BUILDKIT": "0",
            }
            docker = Docker(environment, address, f"{BASE}:{base.root().name}")
            _load_base(docker, archive)
            yield docker


def _port(built: Path) -> int:
    """For the registry, by whose address podman knows which layers are there already: the port that
    the store had before. Another one has it compress them all to find out."""
    kept = built / "port"
    with suppress(FileNotFoundError), socket.socket() as attempt, suppress(OSError):
        port = int(kept.read_text())
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        attempt.bind(("127.0.0.1", port))
        return port
    (port,) = free_ports(1)
    kept.write_text(str(port))
    return port


def _load_base(docker: Docker, archive: Path) -> None:
    images = docker.run("image", "ls", "--format={{json .}}").splitlines()
    known = {f"{image['Repository']}:{image['Tag']}" for image in map(json.loads, images)}
    if docker.base not in known:
        docker.run("import", str(archive), str(docker.base))
