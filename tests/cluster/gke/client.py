"""A pod that uses the server as a training Job does: by the name of its Service."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.pod import CONTAINER_SECURITY, HARDENED
from tests.cluster.cluster import Cluster
from tests.local.eventually import eventually

PROGRAM = Path(__file__).with_name("writer.py")
NAME = "writer"


@dataclass(frozen=True)
class Client:
    """One that writes all the time, with nothing but MLflow's own retries."""

    cluster: Cluster
    namespace: str

    def start(self, image: str, tracking_uri: str, login: str) -> None:
        """Have it log a run, and read that back, before it goes on; a Secret has its login."""
        container = {
            "name": NAME,
            "image": image,
            "command": ["python", "-c", PROGRAM.read_text()],
            "env": [{"name": "MLFLOW_TRACKING_URI", "value": tracking_uri}],
            "envFrom": [{"secretRef": {"name": login}}],
            "resources": {"limits": {"memory": "512Mi"}},
            "securityContext": CONTAINER_SECURITY,
            "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": NAME, "namespace": self.namespace},
            "spec": {
                **HARDENED,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "containers": [container],
                "volumes": [{"name": "scratch", "emptyDir": {}}],
            },
        }
        self.cluster.kubectl("apply", "--filename=-", stdin=json.dumps(pod))
        self.await_steps(1)
        assert self._lines()[1:], self._log()

    @property
    def read_back(self) -> dict[str, Any]:
        """The run, as the server gave it back."""
        return dict(self._lines()[0])

    @property
    def acknowledged(self) -> list[int]:
        """Steps of which the server has said that it has them."""
        return [line["step"] for line in self._lines()[1:]]

    def await_steps(self, more: int) -> None:
        """Wait until it has written a few more, or has ended of itself."""
        enough = len(self._lines()) + more
        eventually(lambda: len(self._lines()) > enough or self._has_ended())

    def stop(self) -> str:
        """Tell it to end, if it has not, and return how it did: `Succeeded` or `Failed`."""
        if not self._has_ended():
            self._kubectl("exec", NAME, "--", "touch", "/tmp/stop")
        eventually(self._has_ended)
        return self._phase()

    def _has_ended(self) -> bool:
        return self._phase() in ("Succeeded", "Failed")

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log().splitlines() if line.startswith("{")]

    def _log(self) -> str:
        return self._kubectl("logs", NAME) if self._phase() != "Pending" else ""

    def _phase(self) -> str:
        return self.cluster.phase(NAME, self.namespace)

    def _kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments)
