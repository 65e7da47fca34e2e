"""What a shell needs for `mlflow run … --backend kubernetes`: MLflow's own backend, and Docker."""

import os
import subprocess
import sys
from pathlib import Path

from tools.project import cache
from tools.pulumi_cli import appearing

from .stack import Stack

KUBERNETES = "36.0.3"
"""The newest one: from 37 on it refuses what MLflow gives to it."""

REGISTRY_ANSWERS = """\
import docker
from urllib.request import Request, urlopen

def inspect_distribution(self, image, auth_config=None):
    registry, _, rest = image.partition("/")
    name, _, tag = rest.rpartition(":")
    kinds = "application/vnd.docker.distribution.manifest.v2+json", \\
        "application/vnd.oci.image.manifest.v1+json"
    url = f"http://{registry}/v2/{name}/manifests/{tag}"
    asked = Request(url, headers={"Accept": ", ".join(kinds)}, method="HEAD")
    with urlopen(asked) as answer:
        return {"Descriptor": {"digest": answer.headers["Docker-Content-Digest"]}}

docker.APIClient.inspect_distribution = inspect_distribution
"""
"""The one call of Docker's that podman does not serve: asks the registry, as Docker would."""


def environment(stack: Stack, folder: Path) -> dict[str, str]:
    """Make an environment of its own, with a Kubernetes client that MLflow goes with."""
    site = folder / "site"
    site.mkdir()
    if stack.docker.environment:  # else it is the user's own Docker
        (site / "sitecustomize.py").write_text(REGISTRY_ANSWERS)
        _forget_earlier_names(stack)
    return stack.docker.environment | {
        "KUBECONFIG": str(stack.kubeconfig_of_person()),
        "PYTHONPATH": os.pathsep.join([str(site), str(_kubernetes_client())]),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }


def _kubernetes_client() -> Path:
    """Its thousand modules take pip ten seconds: once."""
    kept = cache() / f"kubernetes-client-{KUBERNETES}-{sys.implementation.cache_tag}"
    if not kept.exists():
        with appearing(kept) as fresh:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
            subprocess.run([*pip, f"--target={fresh}", f"kubernetes=={KUBERNETES}"], check=True)
    return kept


def _forget_earlier_names(stack: Stack) -> None:
    # MLflow pushes the first name of an image; earlier tests had registries on other ports.
    listed = stack.docker.run("image", "ls", "--format={{.Repository}}:{{.Tag}}").split()
    for name in listed:
        if "mlflow-training:" in name and not name.startswith(stack.docker.registry):
            # By force: a build that was broken off has left a container that nobody uses.
            stack.docker.run("rmi", "--force", "--no-prune", name)
