"""A Kubernetes that the tests may do anything to."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.cluster import requirements
from tests.cluster.node.node import Node
from tests.cluster.provider.api_server import ApiServer
from tests.cluster.provider.manifest import Reference

GIVEN = "TEST_KUBECONFIG"
"""Names the kubeconfig of a cluster that somebody else started."""


@dataclass(frozen=True)
class Cluster:
    """How to reach it."""

    kubeconfig: Path
    """Of somebody who may do everything."""
    program: str
    """The path of a kubectl that fits."""
    host: str | None
    """This machine's address for pods, who reach what listens on it; unknown for a given one."""

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl and return what it printed."""
        ended = subprocess.run(
            [self.program, f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"kubectl {' '.join(arguments)}:\n{ended.stderr}"
        return ended.stdout

    @cached_property
    def _api(self) -> ApiServer:
        return ApiServer.reached_by(str(self.kubeconfig))

    def pods(self, namespace: str) -> list[dict[str, Any]]:
        """Those of a namespace. To ask costs a tenth of what a start of kubectl does."""
        return self._api.listed("v1", "Pod", namespace)

    def phase(self, pod: str, namespace: str) -> str:
        """How far a pod is: `Pending`, `Running`, `Succeeded` or `Failed`."""
        found = self._api.read(Reference("v1", "Pod", pod, namespace))
        assert found is not None, f"there is no pod {pod} in {namespace}"
        return str(found["status"]["phase"])


@contextmanager
def started() -> Iterator[Cluster]:
    """The one that is given, or one of our own for as long as the context lasts."""
    if given := os.environ.get(GIVEN):
        program = shutil.which("kubectl")
        if program is None:
            raise requirements.CannotRun(f"{GIVEN} is set, and there is no kubectl on PATH")
        yield Cluster(Path(given).expanduser(), program, None)
        return
    requirements.check(requirements.NODE)
    node = Node.fresh()
    with node.started():
        layout = node.layout
        yield Cluster(layout.admin, layout.binary("kubectl"), layout.host)
