"""A pod in which scientists work, where training Jobs run: they reach the server as those do."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.pod import CONTAINER_SECURITY, HARDENED
from tests.local.eventually import eventually

from .stack import Stack

PROGRAM = Path(__file__).with_name("scientists.py")
FIRST_ANSWERS = 50
"""Everybody has a connection by then, and most of them are kept."""


@dataclass(frozen=True)
class Laboratory:
    """One such pod."""

    stack: Stack
    name: str

    @property
    def told(self) -> dict[str, Any]:
        """What was counted: `answered`, and what is wrong with the rest."""
        lines = self._kubectl("logs", self.name, "--tail=1").splitlines()
        return dict(json.loads(lines[-1])) if lines else {"answered": 0}

    @property
    def faults(self) -> list[str]:
        """Requests that failed, and writes that were acknowledged and are not there."""
        told = self.told
        return [*told["failures"], *told["missing"]]

    @property
    def ended(self) -> bool:
        """Whether all have gone home."""
        phase = self._kubectl("get", "pod", self.name, "--output=jsonpath={.status.phase}")
        assert phase != "Failed", self._kubectl("logs", self.name)
        return phase == "Succeeded"

    def wait(self) -> None:
        """Wait until they have come."""
        self._kubectl("wait", f"pod/{self.name}", "--for=condition=Ready", "--timeout=60s")

    def see(self, answers: int) -> None:
        """Wait until they had that many answers from now on."""
        enough = int(self.told["answered"]) + answers
        eventually(lambda: self.told["answered"] >= enough)

    def close(self) -> None:
        """Have them stop, and look for what they wrote."""
        self._kubectl("exec", self.name, "--", "sh", "-c", "kill 1")
        eventually(lambda: self.ended)

    def _kubectl(self, *arguments: str) -> str:
        return self.stack.kubectl(*arguments, namespace=self.stack.training)


@contextmanager
def opened(stack: Stack, what: str) -> Iterator[Laboratory]:
    """Let them start, and leave nothing behind."""
    laboratory = Laboratory(stack, f"scientists-{secrets.token_hex(3)}")
    uri = stack.outputs()["trackingUriInCluster"]
    # Nobody's code is installed for them: the server's own image has all that they need.
    image = stack.pods()[0]["spec"]["containers"][0]["image"]
    named = {"name": laboratory.name, "namespace": stack.training}
    pod = {
        **HARDENED,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "scientists",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python", f"/program/{PROGRAM.name}", what, uri],
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [{"name": "program", "mountPath": "/program"}],
            }
        ],
        "volumes": [{"name": "program", "configMap": {"name": laboratory.name}}],
    }
    program = {PROGRAM.name: PROGRAM.read_text()}
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": program},
        {"apiVersion": "v1", "kind": "Pod", "metadata": named, "spec": pod},
    ]
    document = {"apiVersion": "v1", "kind": "List", "items": objects}
    stack.cluster.kubectl("apply", "--filename=-", stdin=json.dumps(document))
    try:
        laboratory.wait()
        yield laboratory
    finally:
        stack.kubectl(
            *("delete", "pod,configmap", laboratory.name, "--wait=false"), namespace=stack.training
        )
