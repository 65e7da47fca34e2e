"""The files that MLflow's commands read, in a folder of the user's choice."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import yaml

from . import docker_project, mark
from .handoff import Handoff
from .job import GPU, skeleton
from .mark import MARK
from .settings import FILE as PLATFORM
from .settings import Settings

ENVIRONMENT = ".env"
BACKEND = "k8s_config.json"
JOB = "k8s_job_template.yaml"
PROJECT = "k8s_project"

LOGIN = "mlflow-login"
"""Secret of the namespace that somebody makes for the Jobs of MLflow's own Kubernetes backend."""

T4_SHARE = {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"memory": "8Gi"}}
"""Half of an n1-standard-4, the machine that a T4 usually comes with."""

LAPTOP_SHARE = {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "4Gi"}}
"""Fits into the virtual machine of Docker Desktop beside the server."""


def write(handoff: Handoff, folder: Path, project: Path | None = None) -> list[Path]:
    """Write what the stack has use for; nothing is written if one of them is not ours.

    With a registry, that is for MLflow's own Kubernetes backend too, with its project.
    """
    contents = {ENVIRONMENT: environment(handoff)}
    if handoff.training_image_tagged:
        contents[BACKEND] = json.dumps(backend(handoff, folder), indent=2) + "\n"
        heading = f"# Written by `{MARK}`, for: mlflow run … --backend kubernetes\n"
        contents[JOB] = heading + yaml.safe_dump(job(handoff), sort_keys=False)
    if handoff.training_image:
        ours = {"written-by": MARK, **platform(handoff).document()}
        contents[PLATFORM] = json.dumps(ours, indent=2) + "\n"
    for name in contents:
        mark.check(folder / name, folder / name)
    written = [folder / name for name in contents]
    if handoff.training_image_tagged and project and (project / docker_project.FILE).is_file():
        docker_project.write(project, folder / PROJECT, handoff.training_image_tagged)
        written.append(folder / PROJECT)
    for name, content in contents.items():
        # Readable by nobody else from the start: it may hold a password.
        new = folder / f"{name}.new"
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as sink:
            sink.write(content)
        new.replace(folder / name)
    return written


def environment(handoff: Handoff) -> str:
    """What a shell has to export, for `set -a; . ./.env; set +a`."""
    variables = {
        "MLFLOW_TRACKING_URI": handoff.tracking_uri,
        # Signed upload URLs need a key, and with Workload Identity there is none.
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
    }
    if handoff.training_image_tagged:
        # What MLflow gives to its Jobs in place of this machine's own address of the server.
        variables["KUBE_MLFLOW_TRACKING_URI"] = handoff.tracking_uri_in_cluster
    if handoff.admin_user and handoff.admin_password:
        variables["MLFLOW_TRACKING_USERNAME"] = handoff.admin_user
        variables["MLFLOW_TRACKING_PASSWORD"] = handoff.admin_password
    lines = [f"{key}={shlex.quote(value)}" for key, value in variables.items()]
    return "\n".join([f"# Written by `{MARK}`", *lines, ""])


def backend(handoff: Handoff, folder: Path) -> dict[str, Any]:
    """Configure MLflow's Kubernetes backend; its paths start where `mlflow run` is typed."""
    config = {
        "written-by": MARK,
        "kube-job-template-path": str((folder / JOB).resolve()),
        "repository-uri": str(handoff.training_image_tagged).rpartition(":")[0],
    }
    if handoff.context:
        config["kube-context"] = handoff.context
    return config


def platform(handoff: Handoff) -> Settings:
    """Configure our own backend."""
    gpu = handoff.accelerator is not None
    settings: dict[str, Any] = {
        "namespace": handoff.namespace,
        "context": handoff.context,
        "kubeconfig": handoff.kubeconfig,
        "service-account": handoff.training_service_account,
        "image": handoff.training_image,
        "tracking-uri": handoff.tracking_uri_in_cluster,
        "resources": T4_SHARE if gpu else LAPTOP_SHARE,
    }
    if gpu:
        settings |= {
            "gpus": 1,
            "node-selector": {"cloud.google.com/gke-accelerator": handoff.accelerator},
            "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
        }
    return Settings.model_validate({k: v for k, v in settings.items() if v is not None})


def job(handoff: Handoff) -> dict[str, Any]:
    """Describe the Job; MLflow fills in names, image, command and the run."""
    container = {
        "name": "{replaced with MLflow Project name}",
        "image": "{replaced with the image and its digest}",
        "command": ["{replaced with MLflow Project entry point command}"],
        "env": [{"name": "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "value": "false"}],
    }
    if handoff.admin_user:
        # MLflow hands its Jobs no login. Without that Secret they fail at once, and say why.
        container["envFrom"] = [{"secretRef": {"name": LOGIN, "optional": True}}]
    return skeleton(platform(handoff), "{replaced with MLflow Project name}", container)
