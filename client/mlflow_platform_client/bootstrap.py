"""The first process of a Job: fetches the project, runs its command, ends the run truthfully.

Its text is in the Job, after `python -I -c`: any image with a Python can be used, and nothing has
to be built or installed. So it imports the standard library only.
"""

from __future__ import annotations  # an image's Python may be an old one

import base64
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from typing import Any

PLACE = "projects"
ARCHIVE = "project.tar.gz"

PATIENCE_SECONDS = 60
"""The rules of a network take a moment to know a new pod, and a server a moment to be replaced."""

TERMINATED = 128 + signal.SIGTERM
TAKEN = "SIGTERM: the machine was taken back or the Job was deleted"


class Stopped(BaseException):
    """Kubernetes wants the pod to end."""


class Unusable(Exception):
    """There is no project to run."""


class Server:
    """The tracking server, with the login that the environment has, if any."""

    def __init__(self, run_id: str) -> None:
        self.base = os.environ["MLFLOW_TRACKING_URI"].rstrip("/")
        self.run_id = run_id
        self.headers = {"Content-Type": "application/json"}
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        if user:
            both = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
            self.headers["Authorization"] = "Basic " + base64.b64encode(both.encode()).decode()
        elif token:
            self.headers["Authorization"] = f"Bearer {token}"

    def ask(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        """Send one request, again while nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310
            f"{self.base}/api/2.0/{path}", data=data, headers=self.headers
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
                    return bytes(answer.read())
            except urllib.error.HTTPError as refusal:
                if refusal.code < 500 or time.monotonic() > deadline:
                    said = refusal.read(300).decode(errors="replace")
                    raise Unusable(
                        f"{self.base} answers {refusal.code} to {path}: {said}"
                    ) from None
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Unusable(f"{self.base} does not answer: {error}") from None
            time.sleep(1)

    def status(self) -> str:
        """How the run is doing, as far as MLflow knows."""
        query = urllib.parse.urlencode({"run_id": self.run_id})
        return str(json.loads(self.ask(f"mlflow/runs/get?{query}"))["run"]["info"]["status"])

    def begin(self) -> None:
        """Say that the run goes on: the machine before this one may have been taken back."""
        if self.status() != "RUNNING":
            self.ask("mlflow/runs/update", {"run_id": self.run_id, "status": "RUNNING"})

    def end(self, status: str, tag: str = "", why: str = "") -> None:
        """End the run, unless the project's own program has; at the end, no error is of use."""
        now = int(time.time() * 1000)
        ended = {"run_id": self.run_id, "status": status, "end_time": now}
        try:
            if self.status() not in ("RUNNING", "SCHEDULED"):
                return
            if tag:
                self.ask("mlflow/runs/set-tag", {"run_id": self.run_id, "key": tag, "value": why})
            self.ask("mlflow/runs/update", ended)
        except Unusable as problem:
            print(f"the run stays as it is: {problem}", file=sys.stderr, flush=True)


def unpack(archive: bytes, digest: str, folder: str) -> None:
    """Write the project's files to a folder, and nothing to anywhere else."""
    found = hashlib.sha256(archive).hexdigest()
    if found != digest:
        raise Unusable(
            f"{PLACE}/{digest}/{ARCHIVE} has the SHA-256 {found}: somebody changed it. "
            "Delete it from the artifact store, and submit again"
        )
    top = os.path.realpath(folder)
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        for member in packed:
            target = os.path.realpath(os.path.join(top, member.name))
            content = packed.extractfile(member) if member.isfile() else None
            if content is None or not target.startswith(top + os.sep):
                raise Unusable(f"{member.name!r} is no file of a project")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as sink:
                sink.write(content.read())
            os.chmod(target, member.mode & 0o777)


def execute(command: str) -> int:
    """Run the command to its end, or to ours: then it is told to end, and given time to do so."""
    asked: list[int] = []
    interrupt = signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    # A group of its own, for a shell does not pass a signal on.
    child = subprocess.Popen(["sh", "-c", command], start_new_session=True)  # noqa: S607
    try:
        # Only now is there somebody to pass the signal on to.
        signal.signal(signal.SIGTERM, interrupt)
        if asked:
            stop()
        return child.wait()
    except Stopped:
        with suppress(ProcessLookupError):  # it has just ended by itself
            os.killpg(child.pid, signal.SIGTERM)
        child.wait()
        with suppress(ChildProcessError):
            while True:  # what the shell has left behind is ours, the first process's
                os.waitpid(-child.pid, 0)
        raise


def main(digest: str, command: str) -> int:
    """Do all of it; the exit code of the container."""
    server = Server(os.environ["MLFLOW_RUN_ID"])
    try:
        server.begin()
        place = f"{os.environ['MLFLOW_EXPERIMENT_ID']}/{PLACE}/{digest}/{ARCHIVE}"
        archive = server.ask(f"mlflow-artifacts/artifacts/{place}")
        unpack(archive, digest, os.getcwd())
        print(f"project    {digest[:12]}\ncommand    {command}", flush=True)
        code = execute(command)
        if code == 0:
            server.end("FINISHED")
        else:
            server.end("FAILED", "failure", f"the command ended with exit code {code}")
        # The code of a process that a signal ended is negative here, and above 128 in a container.
        return code if code >= 0 else 128 - code
    except (Unusable, OSError, tarfile.TarError) as problem:
        print(f"error: {problem}", file=sys.stderr, flush=True)
        server.end("FAILED", "failure", str(problem)[:1000])
        return 1
    except Stopped:
        server.end("KILLED", "stopped", TAKEN)
        return TERMINATED


def stop(*_: object) -> None:
    """Let go of whatever is being done: no machine waits for long."""
    raise Stopped


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main(*sys.argv[1:]))
