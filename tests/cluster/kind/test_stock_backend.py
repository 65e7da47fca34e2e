"""MLflow's own Kubernetes backend with what `connect` writes: Docker, a registry and real pods."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from components import object_store
from mlflow_platform_client import files, handoff

from . import stock_backend
from .stack import Stack

EXPERIMENT = "RAPIDS-MLFLOW-GCP"
SMALL = ("trials=2", "rows=3000", "trial_rows=1000", "max_depth=6", "max_trees=8")
FPATH = f"s3://{object_store.BUCKET}/data/flights.parquet"
"""In the stack's own bucket, beside the artifacts."""

Typed = Callable[[str], Run]


@pytest.fixture(scope="module")
def keys(stack: Stack) -> Iterator[str]:
    """A Secret with the keys of the bucket, and the way to it.

    The stack gives Jobs neither: it expects data sets in a bucket that the cluster does not hold.
    """
    labels = {"app.kubernetes.io/component": "objects"}
    store = _in_namespace(stack.serving) | {"podSelector": {"matchLabels": labels}}
    port = {"ports": [{"port": object_store.PORT}]}
    there = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [store], **port}]}
    here = {
        "podSelector": {"matchLabels": labels},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [_in_namespace(stack.training)], **port}],
    }
    named = {"name": "data"}
    objects = {
        stack.training: [
            {"apiVersion": "v1", "kind": "Secret", "metadata": named, "stringData": _keys(stack)},
            _policy(named, there),
        ],
        stack.serving: [_policy(named, here)],
    }
    for namespace, each in objects.items():
        stack.kubectl("apply", "--filename=-", namespace=namespace, stdin=yaml.safe_dump_all(each))
    yield named["name"]
    for namespace, each in objects.items():
        stack.kubectl("delete", "--filename=-", namespace=namespace, stdin=yaml.safe_dump_all(each))


def _in_namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _policy(metadata: dict[str, str], spec: dict[str, Any]) -> dict[str, Any]:
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    return {**kind, "metadata": metadata, "spec": spec}


def _keys(stack: Stack) -> dict[str, str]:
    """What the server is told of the bucket."""
    server = stack.pods()[0]["metadata"]["name"]
    lines = stack.kubectl("exec", server, "--", "env").splitlines()
    return dict(line.split("=", 1) for line in lines if line.startswith(("AWS_", "MLFLOW_S3_")))


@pytest.fixture(scope="module")
def project(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training project, with an edit since its image was built."""
    folder = tmp_path_factory.mktemp("stock") / "training"
    shutil.copytree(stack.program / "training", folder, ignore=shutil.ignore_patterns("data"))
    with (folder / "data.py").open("a") as program:
        program.write('    print("edited")\n')
    return folder


@pytest.fixture(scope="module")
def typed(stack: Stack, project: Path, keys: str) -> Iterator[Typed]:
    """A shell in a folder where somebody in `access.people` typed `connect`."""
    folder = project.parent
    files.write(handoff.parse(json.dumps(stack.outputs()), "the stack"), folder, project)
    template = folder / files.JOB
    job = yaml.safe_load(template.read_text())
    job["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": keys}}]
    template.write_text(yaml.safe_dump(job))
    environment = os.environ | stock_backend.environment(stack, folder)
    client = MlflowClient(stack.outputs()["trackingUri"])

    def run(options: str) -> Run:
        command = f"mlflow run k8s_project --backend kubernetes --experiment-name {EXPERIMENT}"
        config = f"--backend-config k8s_config.json {options}"
        ended = subprocess.run(
            ["sh", "-c", f"set -a; . ./.env; set +a; {command} {config} -P fpath={FPATH}"],
            cwd=folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert ended.returncode == 0, f"{ended.stdout}\n{_last_log(stack)}"
        experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
        of_a_job = "tags.`mlflow.project.backend` = 'kubernetes'"
        return client.search_runs([experiment], of_a_job, max_results=1)[0]

    with stack.tunnel():
        yield run


def _last_log(stack: Stack) -> str:
    pods = stack.objects("pods", stack.training)
    pods.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    return "".join(
        stack.kubectl("logs", pod["metadata"]["name"], namespace=stack.training)
        for pod in pods[-1:]
    )


def job_of(stack: Stack, run: Run) -> dict[str, Any]:
    """The Job that knows the run."""
    told = {"name": "MLFLOW_RUN_ID", "value": run.info.run_id}
    (job,) = (
        job for job in stack.objects("jobs", stack.training) if told in _container(job)["env"]
    )
    return job


def _container(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_an_edited_project_goes_into_an_image_on_top_and_writes_its_table_to_the_bucket(
    typed, stack
):
    run = typed("--build-image -e data")

    assert run.info.status == "FINISHED"
    assert run.data.metrics["flights"] > 300_000
    job = job_of(stack, run)
    repository = stack.outputs()["trainingImageTagged"].rpartition(":")[0]
    assert _container(job)["image"].startswith(f"{repository}:latest@sha256:")
    log = stack.kubectl("logs", f"job/{job['metadata']['name']}", namespace=stack.training)
    assert "edited" in log.split()


def test_a_search_runs_with_the_image_by_digest_on_the_table_in_the_bucket(typed, stack):
    given = " ".join(f"-P {each}" for each in (*SMALL, "conda-env=conda.yaml"))
    run = typed(f"-e hyperopt {given}")

    assert run.info.status == "FINISHED"
    assert run.data.params["fpath"] == FPATH
    assert 0 < run.data.metrics["accuracy"] < 1
    outputs = stack.outputs()
    versions = MlflowClient(outputs["trackingUri"]).search_model_versions("name = 'flights'")
    assert run.info.run_id in {version.run_id for version in versions}
    job = job_of(stack, run)
    account = job["spec"]["template"]["spec"]["serviceAccountName"]
    assert account == outputs["trainingServiceAccount"]
    digest = outputs["trainingImage"].partition("@")[2]
    assert _container(job)["image"] == f"{outputs['trainingImageTagged']}@{digest}"
