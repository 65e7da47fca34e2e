"""A pod in which scientists work, where training Jobs run: they reach the server as those do."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO, Any

from server.pod import CONTAINER_SECURITY, HARDENED
from tests.local.eventually import eventually

from .stack import Stack

PROGRAM = Path(__file__).with_name("scientists.py")
FIRST_ANSWERS = 50
"""Everybody has a connection by then, and most of them are kept."""


class Laboratory:
    """One such pod, and what it says: one `kubectl` listens, where asking again costs one each."""

    def __init__(self, stack: Stack, name: str, log: IO[str]) -> None:
        self._stack, self._name = stack, name
        self._said = '{"answered": 0}'
        self._listening = Thread(target=self._listen, args=[log], daemon=True)
        self._listening.start()

    @property
    def told(self) -> dict[str, Any]:
        """What was counted: `answered`, and what is wrong with the rest."""
        return dict(json.loads(self._said))

    @property
    def faults(self) -> list[str]:
        """Requests that failed, and writes that were acknowledged and are not there."""
        told = self.told
        return [*told["failures"], *told["missing"]]

    def see(self, answers: int) -> None:
        """Wait until they had that many answers from now on."""
        enough = int(self.told["answered"]) + answers
        eventually(lambda: self.told["answered"] >= enough)

    def close(self) -> None:
        """Have them stop, and look for what they wrote."""
        self._kubectl("exec", self._name, "--", "sh", "-c", "kill 1")
        self.wait()

    def wait(self, seconds: float = 60) -> None:
        """Wait until all have gone home."""
        eventually(lambda: not self._listening.is_alive(), seconds)
        eventually(lambda: self._phase in ("Succeeded", "Failed"))
        assert self._phase == "Succeeded", self._kubectl("logs", self._name)

    @property
    def _phase(self) -> str:
        return self._stack.cluster.phase(self._name, self._stack.training)

    def _listen(self, log: IO[str]) -> None:
        for line in log:
            self._said = line

    def _kubectl(self, *arguments: str) -> str:
        return self._stack.kubectl(*arguments, namespace=self._stack.training)


@contextmanager
def opened(stack: Stack, what: str) -> Iterator[Laboratory]:
    """Let them start, and leave nothing behind."""
    name = f"scientists-{secrets.token_hex(3)}"
    uri = stack.outputs()["trackingUriInCluster"]
    # Nobody's code is installed for them: the server's own image has all that they need.
    image = stack.pods()[0]["spec"]["containers"][0]["image"]
    named = {"name": name, "namespace": stack.training}
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
        "volumes": [{"name": "program", "configMap": {"name": name}}],
    }
    program = {PROGRAM.name: PROGRAM.read_text()}
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": program},
        {"apiVersion": "v1", "kind": "Pod", "metadata": named, "spec": pod},
    ]
    document = {"apiVersion": "v1", "kind": "List", "items": objects}
    stack.cluster.kubectl("apply", "--filename=-", stdin=json.dumps(document))
    try:
        ready = ("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
        stack.kubectl(*ready, namespace=stack.training)
        with stack.log(f"pod/{name}", namespace=stack.training) as log:
            yield Laboratory(stack, name, log)
    finally:
        stack.kubectl("delete", "pod,configmap", name, "--wait=false", namespace=stack.training)
