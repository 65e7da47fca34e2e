"""Outputs as each platform exports them, and a real tracking server."""

import json
import os
import subprocess
import sys

import pytest

from mlflow_platform_client import tunnel
from tests.local.eventually import eventually
from tests.local.stack import free_ports
from tools.project import ROOT

GKE = {
    "trackingUri": "http://127.0.0.1:5000",
    "trackingUriInCluster": "http://mlflow-tracking.mlflow-server.svc.cluster.local:80",
    "uiUrl": "http://127.0.0.1:5000",
    "artifactRoot": "gs://bucket/artifacts",
    "serverVersion": "3.17.2",
    "namespace": "mlflow",
    "connectCommand": "gcloud container clusters get-credentials mlflow && kubectl port-forward x",
    "trainingImage": f"gcr.io/project/mlflow-training@sha256:{1:064}",
    "trainingImageTagged": "gcr.io/project/mlflow-training:0123456789abcdef",
    "trainingServiceAccount": "training",
    "accelerator": "nvidia-tesla-t4",
    "adminUser": None,
    "adminPassword": None,
}


@pytest.fixture
def gke():
    return dict(GKE)


@pytest.fixture
def desktop(gke):
    """The outputs of a stack in somebody's own cluster, without a GPU."""
    command = "kubectl --context=docker-desktop --namespace=mlflow port-forward service/x 5000:80"
    return gke | {"connectCommand": command, "accelerator": None}


@pytest.fixture
def local(gke):
    """The outputs of a stack on a laptop, where no Job can run."""
    kept = ("trackingUri", "trackingUriInCluster", "uiUrl", "artifactRoot", "serverVersion")
    return {name: value if name in kept else None for name, value in gke.items()}


@pytest.fixture
def lay_out(tmp_path):
    """Make a folder of files with these contents."""

    def made(name, contents):
        for path, content in contents.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return tmp_path / name

    return made


@pytest.fixture
def saved(tmp_path):
    """Save outputs as `pulumi stack output --json` would."""

    def save(outputs):
        file = tmp_path / "outputs.json"
        file.write_text(json.dumps(outputs))
        return file

    return save


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A tracking server as the platform runs one, which relays artifacts."""
    folder = tmp_path_factory.mktemp("server")
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "server.launch", "--host=127.0.0.1", f"--port={port}"]
    command += ["--workers=1", f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}"]
    command += ["--serve-artifacts", f"--artifacts-destination={folder / 'artifacts'}"]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | quiet, stdout=log, stderr=log
        )
        uri = f"http://127.0.0.1:{port}"
        try:
            eventually(lambda: tunnel.answers(uri), seconds=180)
            yield uri
        finally:
            process.terminate()
            process.wait()
