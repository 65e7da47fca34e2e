"""The Kubernetes Job that a run is."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import bootstrap
from .settings import Settings

RUN = "mlflow-platform/run-id"
"""The label by which a run's Job and its pods are found."""

CONTAINER = "training"

LABELS = {
    "app.kubernetes.io/component": "training",
    "app.kubernetes.io/part-of": "mlflow-platform",
    "app.kubernetes.io/managed-by": "mlflow-platform-client",
}

FOLDER = "/project"
GPU = "nvidia.com/gpu"


def skeleton(settings: Settings, name: str, container: Mapping[str, Any]) -> dict[str, Any]:
    """Describe what every Job of a stack has in common, whoever submits it."""
    resources = settings.resources.model_dump(exclude_defaults=True)
    if settings.gpus:
        limits = resources.get("limits", {}) | {GPU: str(settings.gpus)}
        resources["limits"] = limits
    pod: dict[str, Any] = {
        "serviceAccountName": settings.service_account or "default",
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
    }
    if settings.node_selector:
        pod["nodeSelector"] = settings.node_selector
    if settings.tolerations:
        pod["tolerations"] = [each.model_dump(exclude_none=True) for each in settings.tolerations]
    pod |= {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                **container,
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": resources,
            }
        ],
    }
    lost = {"type": "DisruptionTarget", "status": "True"}
    spec: dict[str, Any] = {
        # A pod that lost its node is replaced and goes on; one that failed is not.
        "backoffLimit": settings.backoff_limit,
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [lost]},
                {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [143]}},
            ]
        },
        "ttlSecondsAfterFinished": settings.ttl_seconds,
    }
    if settings.deadline_seconds is not None:
        spec["activeDeadlineSeconds"] = settings.deadline_seconds
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": settings.namespace},
        "spec": spec | {"template": {"spec": pod}},
    }


def manifest(
    settings: Settings,
    *,
    project: str | None,
    run_id: str,
    experiment: str,
    digest: str,
    command: str,
    login: bool = False,
) -> dict[str, Any]:
    """Describe the Job of one run: the packed project `digest`, and what is run in it.

    With a login, it wants the `login_secret`.
    """
    named = name(project, run_id)
    variables = {
        "MLFLOW_RUN_ID": run_id,
        "MLFLOW_EXPERIMENT_ID": experiment,
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        # Signed upload URLs need a key, and with Workload Identity there is none.
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
    }
    program = Path(bootstrap.__file__).read_text()
    # Isolated: a `queue.py` of the project or the image must not stand in for Python's.
    start = ["python", "-I", "-c", program, digest, command]
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": settings.image,
        # Kubernetes would put variables of the container in place of its own `$(…)`.
        "command": [word.replace("$", "$$") for word in start],
        "workingDir": FOLDER,
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "volumeMounts": [{"name": "project", "mountPath": FOLDER}],
    }
    # Of two that have a key the last one counts: a login that somebody chose for the Jobs.
    secrets = [*([_login(named)] if login else []), *settings.secrets]
    if secrets:
        container["envFrom"] = [{"secretRef": {"name": each}} for each in secrets]
    job = skeleton(settings, named, container)
    labels = {**LABELS, RUN: run_id}
    job["metadata"]["labels"] = labels
    template = job["spec"]["template"]
    template["metadata"] = {"labels": labels}
    template["spec"]["volumes"] = [{"name": "project", "emptyDir": {}}]
    return job


def login_secret(job: Mapping[str, Any], uid: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """Describe the Secret with a Job's login, which is the Job's own and ends with it."""
    about = job["metadata"]
    owner = {"apiVersion": job["apiVersion"], "kind": job["kind"], "name": about["name"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            **about,
            "name": _login(about["name"]),
            "ownerReferences": [{**owner, "uid": uid}],
        },
        "stringData": dict(variables),
        "immutable": True,
    }


def _login(job: str) -> str:
    return f"{job}-login"


def name(project: str | None, run_id: str) -> str:
    """Name a Job so that a person knows whose it is; its pods add six characters."""
    return f"{label(project, 40)}-{run_id[:12]}"


def label(project: str | None, longest: int) -> str:
    """Turn any project's name into what a name in Kubernetes may begin with."""
    words = re.sub(r"[^a-z0-9]+", "-", (project or "").lower()).strip("-")[:longest].strip("-")
    return words or "run"
