"""Where images are built and looked up: by Cloud Build, or by Docker on this machine."""

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from .build_context import BuildContext

LOCATIONS = {"gcr.io": "us", "us.gcr.io": "us", "eu.gcr.io": "europe", "asia.gcr.io": "asia"}
"""Where Artifact Registry keeps what each of Container Registry's old hosts serves."""

BUILD_SECONDS = 60 * 60
"""A RAPIDS image takes about a quarter of that."""

RIGHTS_SECONDS = 120.0
"""Rights that were given a moment ago reach all of Google's services within minutes."""

RETRY_SECONDS = 20.0

NO_RIGHTS_YET = re.compile(r"PERMISSION_DENIED|Error 403|does not have .*(permission|access)")

LOG_LINES = 25

LOOPBACK = re.compile(r"(localhost|127\.[\d.]+|\[::1\])[:/]")


class NotBuilt(Exception):
    """An image that could not be built or looked up; the message ends with what to do."""

    # The engine prints the full name of an error before its message.
    __module__ = "builtins"


class Builder(Protocol):
    """What builds images and knows those that are there."""

    place: ClassVar[str]
    """Where it puts them, in words."""

    def reference(self, image: str, tag: str) -> str | None:
        """How pods name the image; nothing where it is not yet where they look for it."""

    def build(self, context: BuildContext, image: str, tag: str) -> None:
        """Build for the nodes' architecture and put it there."""


@dataclass(frozen=True)
class CloudBuild:
    """Google builds; this machine needs `gcloud` and no Docker."""

    project: str
    account: str
    """E-mail address of the account that builds."""
    staging: str
    """Bucket that the context is sent through."""
    place: ClassVar[str] = "the registry"

    def reference(self, image: str, tag: str) -> str | None:
        """Ask Artifact Registry itself: `gcloud artifacts docker images describe` asks Container
        Analysis as well, which few projects have enabled."""
        host, project, name = image.split("/")
        path = f"{LOCATIONS[host]}-docker.pkg.dev/{project}/{host}/{name}"
        try:
            listed = self._gcloud("artifacts", "docker", "tags", "list", path, "--format=json")
        except Failed as failure:
            if "NOT_FOUND" in failure.output:  # the first image of this name
                return None
            raise failure.explained(f"The registry could not be asked for {image}.") from None
        digests = {
            entry["tag"].rpartition("/")[2]: entry["version"].rpartition("/")[2]
            for entry in json.loads(listed)
        }
        return f"{image}@{digests[tag]}" if tag in digests else None

    def build(self, context: BuildContext, image: str, tag: str) -> None:
        """Send the context, and wait until the image is in the registry."""
        deadline = time.monotonic() + RIGHTS_SECONDS
        while True:
            try:
                return self._build(context, image, tag)
            except Failed as failure:
                log = failure.output + self._log(failure.output)
                if not NO_RIGHTS_YET.search(log) or time.monotonic() > deadline:
                    raise Failed("gcloud", log).explained(f"{image} was not built.") from None
            time.sleep(RETRY_SECONDS)

    def _build(self, context: BuildContext, image: str, tag: str) -> None:
        arguments = [f"--build-arg={k}={v}" for k, v in context.arguments.items()]
        steps = {
            "steps": [
                {
                    "name": "gcr.io/cloud-builders/docker",
                    "args": ["build", f"--tag={image}:{tag}", *arguments, "."],
                }
            ],
            "images": [f"{image}:{tag}"],
            "serviceAccount": f"projects/{self.project}/serviceAccounts/{self.account}",
            # An account of one's own has no default bucket for logs.
            "options": {"logging": "CLOUD_LOGGING_ONLY"},
            "timeout": f"{BUILD_SECONDS}s",
        }
        with tempfile.TemporaryDirectory() as folder:
            context.copy_to(Path(folder, "context"))
            Path(folder, "cloudbuild.json").write_text(json.dumps(steps))
            self._gcloud(
                "builds",
                "submit",
                str(Path(folder, "context")),
                f"--config={folder}/cloudbuild.json",
                f"--gcs-source-staging-dir=gs://{self.staging}/source",
                # Not the user's own default: other regions give new projects no machines.
                "--region=global",
                "--suppress-logs",
                "--format=none",
            )

    def _log(self, output: str) -> str:
        """What the build printed, which `gcloud builds submit` does not show."""
        build = re.search(r"builds/([0-9a-f-]{36})", output)
        if not build:
            return ""
        try:
            return self._gcloud("builds", "log", build[1], "--region=global")
        except Failed as failure:
            return failure.output

    def _gcloud(self, *command: str) -> str:
        settings = {
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            # The context has been chosen; a .gitignore in it must not choose again.
            "CLOUDSDK_GCLOUDIGNORE_ENABLED": "false",
        }
        return run("gcloud", *command, f"--project={self.project}", settings=settings)


@dataclass(frozen=True)
class Docker:
    """Docker on this machine builds, also for nodes of another architecture than its own."""

    place: ClassVar[str] = "the registry"

    def reference(self, image: str, tag: str) -> str | None:
        """Ask the registry, not the images on this machine."""
        # Docker pushes to a loopback address without TLS, but asks there only when told.
        plain = ["--insecure"] if LOOPBACK.match(image) else []
        try:
            answer = run("docker", "manifest", "inspect", *plain, "--verbose", f"{image}:{tag}")
        except Failed as failure:
            if re.search(r"no such manifest|manifest unknown|name unknown", failure.output):
                return None
            raise failure.explained(f"The registry could not be asked for {image}.") from None
        return f"{image}@{json.loads(answer)['Descriptor']['digest']}"

    def build(self, context: BuildContext, image: str, tag: str) -> None:
        """Build from the context alone, and push."""
        try:
            docker_build(context, f"{image}:{tag}")
            run("docker", "push", f"{image}:{tag}")
        except Failed as failure:
            raise failure.explained(f"{image} was not built.") from None


@dataclass(frozen=True)
class Loaded:
    """Docker on this machine builds, and the nodes of a cluster on this machine are handed the
    image: no registry. Pods name it by its tag, which is the hash of its content."""

    tool: str
    """What runs the cluster: `kind`, `minikube`, `microk8s` or `docker-desktop`."""
    cluster: str
    """What the tool calls it."""
    place: ClassVar[str] = "the cluster"

    def reference(self, image: str, tag: str) -> str | None:
        """Ask each node."""
        name = f"{image}:{tag}"
        try:
            found = all(name in images.split() for images in self._images())
        except Failed as failure:
            raise failure.explained(f"The cluster could not be asked for {image}.") from None
        return name if found else None

    def build(self, context: BuildContext, image: str, tag: str) -> None:
        """Build from the context alone, and hand it over."""
        name = f"{image}:{tag}"
        try:
            docker_build(context, name)
            self._load(name)
        except Failed as failure:
            raise failure.explained(f"{image} was not built.") from None

    def _images(self) -> list[str]:
        """The images of each node."""
        match self.tool:
            case "kind":
                nodes = run("kind", "get", "nodes", "--name", self.cluster).split()
                if not nodes:
                    raise NotBuilt(
                        f"There is no kind cluster {self.cluster}. "
                        f"Type: kind create cluster --name {self.cluster}"
                    )
                list_images = ["ctr", "--namespace=k8s.io", "images", "list", "--quiet"]
                return [run("docker", "exec", node, *list_images) for node in nodes]
            case "minikube":
                return [run("minikube", "--profile", self.cluster, "image", "ls")]
            case "microk8s":
                return [run("microk8s", "ctr", "images", "list", "--quiet")]
            case _:  # Docker Desktop's cluster has the images of its Docker
                format_ = "--format={{.Repository}}:{{.Tag}}"
                return [run("docker", "image", "ls", format_)]

    def _load(self, name: str) -> None:
        match self.tool:
            case "kind":
                run("kind", "load", "docker-image", name, "--name", self.cluster)
            case "minikube":
                run("minikube", "--profile", self.cluster, "image", "load", name)
            case "microk8s":
                with tempfile.TemporaryDirectory() as folder:
                    saved = Path(folder, "image.tar")
                    run("docker", "save", f"--output={saved}", name)
                    run("microk8s", "images", "import", stdin=saved)


def docker_build(context: BuildContext, name: str) -> None:
    """Build an image into Docker on this machine."""
    arguments = [f"--build-arg={k}={v}" for k, v in context.arguments.items()]
    if context.architecture:
        arguments.append(f"--platform=linux/{context.architecture}")
    # With an attestation the tag would name a list of manifests instead of the image.
    settings = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        context.copy_to(Path(folder))
        run("docker", "build", f"--tag={name}", *arguments, folder, settings=settings)


GOOGLE_BUILDS = (
    "On Google Cloud, Google can build instead. Type: "
    "pulumi config set --path mlflow-platform:images.builder cloudbuild"
)

ADVICE = (
    ("gcloud auth login", "gcloud is not logged in. Type: gcloud auth login"),
    ("Cannot connect to the Docker daemon", f"Start Docker. {GOOGLE_BUILDS}"),
    (
        "nauthenticated request",
        "Docker is not logged in to the registry. Type: gcloud auth configure-docker",
    ),
    ("unauthorized", "Docker is not logged in to the registry. Type: docker login HOST"),
    (
        "no basic auth credentials",
        "Docker is not logged in to the registry. Type: docker login HOST",
    ),
    ("requested access to the resource is denied", "Type: docker login HOST"),
    (
        "connection refused",
        "Nothing listens there. Start the registry, or correct images.registry.",
    ),
    ("iam.serviceaccounts.actAs", "You need the role roles/iam.serviceAccountUser on the account"),
)
"""Parts of what the tools print, and what to do then."""

MISSING = {
    "gcloud": "Install the Google Cloud CLI (https://cloud.google.com/sdk/docs/install).",
    "docker": f"Install Docker (https://docs.docker.com/get-started/get-docker). {GOOGLE_BUILDS}",
    "kind": "It made the cluster; put it on your PATH again (https://kind.sigs.k8s.io).",
    "minikube": "It made the cluster; put it on your PATH again (https://minikube.sigs.k8s.io).",
    "microk8s": "Only the machine that it runs on can load images; elsewhere set images.registry.",
}


class Failed(Exception):
    """A tool that ended with an error."""

    def __init__(self, tool: str, output: str) -> None:
        super().__init__(output)
        self.tool = tool
        self.output = output

    def explained(self, what: str) -> NotBuilt:
        """What it was wanted for, the end of what it printed, and what to do."""
        last = "\n".join(self.output.strip().splitlines()[-LOG_LINES:])
        advice = next((advice for sign, advice in ADVICE if sign in self.output), "")
        return NotBuilt("\n".join(filter(None, [what, f"{self.tool} printed:\n{last}", advice])))


def run(
    tool: str,
    *command: str,
    settings: Mapping[str, str] | None = None,
    stdin: Path = Path(os.devnull),
) -> str:
    """Run a tool to its end and return what it printed on its standard output."""
    argv: Sequence[str] = (tool, *command)
    try:
        with stdin.open("rb") as given:
            ended = subprocess.run(
                argv,
                env={**os.environ, **(settings or {})},
                stdin=given,
                capture_output=True,
                text=True,
                check=False,
            )
    except FileNotFoundError:
        raise NotBuilt(f"{tool} is not installed. {MISSING[tool]}") from None
    if ended.returncode:
        raise Failed(tool, ended.stdout + ended.stderr)
    return ended.stdout
