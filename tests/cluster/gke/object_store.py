"""Cloud Storage: the emulator of the local platform, where pods reach it."""

import json
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import Any, Self

from components.local.object_store import binary
from tests.local.eventually import eventually

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ObjectStore:
    """Runs for as long as the `with` lasts, and holds objects in memory."""

    def __init__(self, address: str, log: Path) -> None:
        self._address, self._log = address, log

    def __enter__(self) -> Self:
        port = _free_port(self._address)
        self.url = f"http://{self._address}:{port}"
        command = [
            *("setpriv", "--pdeathsig=KILL", "--"),  # goes with the tests, however those end
            str(binary()),
            "-scheme=http",
            f"-host={self._address}",
            f"-port={port}",
            "-backend=memory",
            f"-external-url={self.url}",
            "-log-level=warn",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(self._answers)
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.terminate()
        self._process.wait()

    def create_bucket(self, name: str) -> None:
        """As the resource `gcp.storage.Bucket` does."""
        self._ask("b", json.dumps({"name": name}).encode())

    def objects(self, bucket: str) -> set[str]:
        """Names of all objects in a bucket."""
        return {each["name"] for each in self._ask(f"b/{bucket}/o").get("items", [])}

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            self._ask("b")
        except OSError:
            return False
        return True

    def _ask(self, what: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}/storage/v1/{what}", body)  # noqa: S310
        request.add_header("Content-Type", "application/json")
        with DIRECT.open(request, timeout=10) as answer:
            return dict(json.load(answer))


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
