"""A stand-in of the Kubernetes API, as much of it as the client uses; pods are processes here."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

CONTEXT = "stand-in"
NAMESPACE = "mlflow-training"


class Pod:
    """A Job's one pod, and the process that it is once all Secrets are there that it names."""

    def __init__(self, job: dict[str, Any], folder: Path) -> None:
        self.job, self.folder, self.log = job, folder, folder / "log"
        (folder / "project").mkdir(parents=True)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, secrets: dict[str, dict[str, Any]]) -> None:
        """Start, unless it has or something is missing."""
        (container,) = self.job["spec"]["template"]["spec"]["containers"]
        named = [each["secretRef"]["name"] for each in container.get("envFrom", [])]
        if self.process or set(named) - set(secrets):
            return
        variables = {e["name"]: e["value"] for e in container["env"]}
        for each in named:
            variables |= secrets[each]["stringData"]
        _, *command = (word.replace("$$", "$") for word in container["command"])
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.folder / "project",
                env={"PATH": os.environ["PATH"]} | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end(self, number: int) -> None:
        """Send a signal, and wait for the end."""
        if self.process:
            self.process.send_signal(number)
            self.process.wait()

    @property
    def described(self) -> dict[str, Any]:
        """As the API shows the pod."""
        code = self.process.poll() if self.process else None
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        return {
            "metadata": {
                "name": f"{self.job['metadata']['name']}-pod",
                "uid": "pod",
                "labels": self.job["metadata"]["labels"],
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {**self.job["spec"]["template"]["spec"], "nodeName": "here"},
            "status": {"containerStatuses": [{"state": state}]},
        }

    @property
    def owner(self) -> dict[str, Any]:
        """As the API shows its Job."""
        code = self.process.poll() if self.process else None
        ended = {None: [], 0: ["Complete"]}.get(code, ["Failed"])
        conditions = [{"type": each, "status": "True"} for each in ended]
        return {**self.job, "status": {"conditions": conditions}}


class KubernetesApi:
    """What it was asked, what it refuses, and what runs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pods = folder, list[Pod]()
        self.secrets: dict[str, dict[str, Any]] = {}
        self.refusals: dict[str, tuple[int, str]] = {}
        """What is answered to whoever wants to create `jobs`, or `secrets`."""
        self.created = threading.Event()

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The manifests that were accepted."""
        return [pod.job for pod in self.pods]

    def create(self, kind: str, made: dict[str, Any]) -> dict[str, Any]:
        name = made["metadata"]["name"]
        if kind == "secrets":
            self.secrets[name] = made
        else:
            made["metadata"]["uid"] = f"uid-of-{name}"
            self.pods.append(Pod(made, self.folder / name))
        for pod in self.pods:
            pod.start(self.secrets)
        self.created.set()
        return made

    def delete(self, name: str) -> dict[str, Any]:
        (pod,) = [each for each in self.pods if each.job["metadata"]["name"] == name]
        pod.end(signal.SIGTERM)
        self.pods.remove(pod)
        self.secrets = {
            each: secret for each, secret in self.secrets.items() if not owned(secret, pod.job)
        }
        return {"kind": "Status", "status": "Success"}

    def listed(self, kind: str, selector: str) -> dict[str, Any]:
        shown = {
            "jobs": [pod.owner for pod in self.pods],
            "pods": [pod.described for pod in self.pods],
        }.get(kind, [])
        key, _, value = selector.partition("=")
        return {"items": [e for e in shown if e["metadata"]["labels"].get(key) == value]}

    def log(self, name: str) -> bytes:
        """All that a pod has printed."""
        (pod,) = [each for each in self.pods if each.described["metadata"]["name"] == name]
        lines = pod.log.read_bytes().splitlines()
        stamped = enumerate(lines)
        return b"".join(b"2026-01-01T00:00:00.%09dZ %s\n" % line for line in stamped)


def owned(thing: dict[str, Any], owner: dict[str, Any]) -> bool:
    """Whether Kubernetes takes one away with the other."""
    about = {key: owner[key] for key in ("apiVersion", "kind")}
    about |= {key: owner["metadata"][key] for key in ("name", "uid")}
    return about in thing["metadata"].get("ownerReferences", [])


def handler(api: KubernetesApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            from urllib.parse import parse_qs, urlsplit

            url = urlsplit(self.path)
            if found := re.search(r"/pods/([^/]+)/log$", url.path):
                self.answer(200, api.log(found[1]))
                return
            selector = parse_qs(url.query).get("labelSelector", [""])[0]
            self.answer(200, api.listed(url.path.rpartition("/")[2], selector))

        def do_POST(self) -> None:
            wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kind = self.path.partition("?")[0].rpartition("/")[2]
            if kind in api.refusals:
                code, message = api.refusals[kind]
                self.answer(code, {"kind": "Status", "message": message, "code": code})
            else:
                self.answer(201, api.create(kind, wanted))

        def do_DELETE(self) -> None:
            self.answer(200, api.delete(self.path.partition("?")[0].rpartition("/")[2]))

        def answer(self, code: int, body: bytes | dict[str, Any]) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def served(folder: Path) -> Iterator[KubernetesApi]:
    """Serve it on loopback; `folder / kubeconfig` says where."""
    api = KubernetesApi(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(api)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        named = {"name": CONTEXT}
        config = {
            "clusters": [
                {**named, "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
            ],
            "contexts": [{**named, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
            "users": [{**named, "user": {}}],
            "current-context": CONTEXT,
        }
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))
        try:
            yield api
        finally:
            server.shutdown()
            for pod in api.pods:
                pod.end(signal.SIGKILL)
