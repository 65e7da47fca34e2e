"""MLflow's own Kubernetes backend with what `connect` writes: Docker, a registry and real pods."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mlflow_platform_client import files, handoff

from .stack import Stack

EXPERIMENT = "RAPIDS-MLFLOW-GCP"
SMALL = ("trials=2", "rows=3000", "trial_rows=1000", "max_depth=6", "max_trees=8")

ANSWERING = """\
import os, docker
docker.APIClient.inspect_distribution = lambda self, image, auth_config=None: {
    "Descriptor": {"digest": os.environ["DIGEST"]}
}
"""
"""The one call of Docker's that podman does not serve."""

Typed = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def typed(stack: Stack, tmp_path: Path) -> Iterator[Typed]:
    """A shell in a folder where somebody in `access.people` typed `connect`."""
    outputs = stack.outputs()
    files.write(
        handoff.parse(json.dumps(outputs), "the stack"), tmp_path, stack.program / "training"
    )
    site = tmp_path / "site"
    # From 37 on it refuses what MLflow gives to it.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", f"--target={site}"]
    subprocess.run([*pip, "kubernetes<37"], check=True)
    (site / "sitecustomize.py").write_text(ANSWERING)
    _forget_earlier_names(stack)
    environment = os.environ | stack.docker.environment
    environment |= {
        "KUBECONFIG": str(stack.kubeconfig_of_person()),
        "PYTHONPATH": str(site),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "DIGEST": str(stack.docker.digest(outputs["trainingImageTagged"])),
    }

    def run(command: str) -> subprocess.CompletedProcess[str]:
        script = f"set -a; . ./.env; set +a; {command}"
        return subprocess.run(
            ["sh", "-c", script],
            cwd=tmp_path,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )

    with stack.tunnel():
        yield run


def _forget_earlier_names(stack: Stack) -> None:
    # MLflow pushes the first name of an image; earlier tests had registries on other ports.
    listed = stack.docker.run("image", "ls", "--format={{.Repository}}:{{.Tag}}").split()
    for name in listed:
        if "mlflow-training:" in name and not name.startswith(stack.docker.registry):
            stack.docker.run("rmi", "--no-prune", name)


def test_a_search_runs_by_mlflows_own_backend_with_the_image_by_digest(typed, stack):
    given = " ".join(f"-P {each}" for each in (*SMALL, "conda-env=conda.yaml"))
    ended = typed(
        "mlflow run k8s_project --backend kubernetes --backend-config k8s_config.json "
        f"-e hyperopt --experiment-name {EXPERIMENT} {given}"
    )

    assert ended.returncode == 0, ended.stdout
    outputs = stack.outputs()
    client = MlflowClient(outputs["trackingUri"])
    experiment = client.get_experiment_by_name(EXPERIMENT)
    (run,) = client.search_runs(
        [experiment.experiment_id], "tags.`mlflow.project.backend` = 'kubernetes'"
    )
    assert run.info.status == "FINISHED"
    assert 0 < run.data.metrics["accuracy"] < 1
    versions = client.search_model_versions("name = 'flights'")
    assert run.info.run_id in {version.run_id for version in versions}
    (pod,) = [
        job["spec"]["template"]["spec"]
        for job in stack.objects("jobs", stack.training)
        if job["metadata"]["name"].startswith("flights-2")
    ]
    assert pod["serviceAccountName"] == outputs["trainingServiceAccount"]
    digest = outputs["trainingImage"].partition("@")[2]
    assert pod["containers"][0]["image"] == f"{outputs['trainingImageTagged']}@{digest}"
