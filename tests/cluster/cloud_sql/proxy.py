"""The real Cloud SQL Auth Proxy: as a program, and as a process with the pod's own flags."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tools.go_module import GoModule

MODULE = GoModule(
    name="cloud-sql-proxy",
    folder=Path(__file__).parent,
    title="Cloud SQL Auth Proxy",
    expect="about two minutes on two cores",
)


class Proxy:
    """A process, for as long as the `with` lasts or until a test kills it."""

    def __init__(self, arguments: Sequence[str], variables: Mapping[str, str], log: Path) -> None:
        self._command = [str(MODULE.program()), *arguments]
        self._variables, self._log = variables, log

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text()

    def start(self) -> None:
        """Start it, with nothing of this machine's own Google settings."""
        private = ("GOOGLE_", "GCE_", "CLOUDSDK_", "CSQL_PROXY_")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(private)}
        # Where a person's own credentials would be.
        alone = inherited | {"HOME": str(self._log.parent), **self._variables}
        with self._log.open("a") as log:
            self._process = subprocess.Popen(self._command, env=alone, stdout=log, stderr=log)

    def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """End it as the kubelet does, and return its exit status."""
        self._process.terminate()
        try:
            return self._process.wait(timeout=30)
        finally:
            self._process.kill()
