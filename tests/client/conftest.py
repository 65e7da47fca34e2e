"""Outputs as each platform exports them."""

import json

import pytest

GKE = {
    "trackingUri": "http://127.0.0.1:5000",
    "trackingUriInCluster": "http://mlflow-tracking.mlflow-server.svc.cluster.local:80",
    "uiUrl": "http://127.0.0.1:5000",
    "artifactRoot": "gs://bucket/artifacts",
    "serverVersion": "3.17.2",
    "namespace": "mlflow",
    "connectCommand": "gcloud container clusters get-credentials mlflow && kubectl port-forward x",
    "trainingImage": f"gcr.io/project/mlflow-training@sha256:{1:064}",
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
    in_cluster = ("namespace", "connectCommand", "trainingImage", "trainingServiceAccount")
    return gke | {name: None for name in (*in_cluster, "accelerator")}


@pytest.fixture
def saved(tmp_path):
    """Save outputs as `pulumi stack output --json` would."""

    def save(outputs):
        file = tmp_path / "outputs.json"
        file.write_text(json.dumps(outputs))
        return file

    return save
