"""Pods as a namespace takes them that is `restricted`, written briefly."""

from typing import Any

CONTAINER = {
    "image": "busybox",
    "imagePullPolicy": "IfNotPresent",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
}
"""As a namespace demands it that takes `restricted` pods only."""


def pod(
    *containers: dict[str, Any], sidecars: tuple[dict[str, Any], ...] = (), **more: object
) -> dict[str, Any]:
    """The specification of a pod that does not run as root."""
    return {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [sidecar | {"restartPolicy": "Always"} for sidecar in sidecars],
        "containers": list(containers),
        **more,
    }


def shell(script: str, **more: object) -> dict[str, Any]:
    """A container that runs a script."""
    return CONTAINER | {"name": "main", "command": ["sh", "-euc", script], **more}


def job(spec: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    """A Job that is tried once."""
    template = {"metadata": {"labels": labels}, "spec": spec | {"restartPolicy": "Never"}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        "spec": {"backoffLimit": 0, "template": template},
    }
