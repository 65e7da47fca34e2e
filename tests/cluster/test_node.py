"""The cluster that the other tests stand on is one, and leaves nothing."""

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.cluster import requirements, traces
from tests.cluster.cluster import GIVEN
from tests.cluster.conftest import possible
from tests.cluster.ending import ended, processes, until
from tests.cluster.node.node import Node
from tools.project import ROOT

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

WEB = CONTAINER | {
    "name": "web",
    "command": ["sh", "-c", "trap exit TERM; httpd -f -p 8080 -h /etc & wait"],
    "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
}
"""Serves its /etc, and ends when it is told to."""

ours = pytest.mark.skipif(GIVEN in os.environ, reason=f"the cluster of {GIVEN} is not ours")


def pod(*containers: dict, sidecars: tuple[dict, ...] = (), **more: object) -> dict:
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


def shell(script: str, **more: object) -> dict:
    """A container that runs a script."""
    return CONTAINER | {"name": "main", "command": ["sh", "-euc", script], **more}


def job(spec: dict) -> dict:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        "spec": {"backoffLimit": 0, "template": {"spec": spec | {"restartPolicy": "Never"}}},
    }


@pytest.fixture
def apply(cluster, namespace) -> Callable[..., None]:
    """Create objects in the namespace of the test."""

    def create(*objects: dict) -> None:
        text = yaml.safe_dump_all(objects)
        cluster.kubectl("--namespace", namespace, "apply", "--filename=-", stdin=text)

    return create


@pytest.fixture
def printed(cluster, namespace, apply) -> Callable[[dict], str]:
    """Run a Job of one pod to its end and return what it printed."""

    def run(spec: dict) -> str:
        apply(job(spec))
        wait = ["wait", "--for=condition=Complete", "job/job", "--timeout=120s"]
        cluster.kubectl("--namespace", namespace, *wait)
        return str(cluster.kubectl("--namespace", namespace, "logs", "job/job", "-c", "main"))

    return run


def test_a_job_without_root_and_with_a_native_sidecar_completes(printed):
    script = "wget -qO- http://localhost:8080/passwd; id -u; ! touch /tmp/x; ! touch /x"
    started = WEB | {"startupProbe": WEB["readinessProbe"]}

    lines = printed(pod(shell(script), sidecars=(started,))).splitlines()

    assert lines[0].startswith("root:")
    assert "65532" in lines


def test_a_service_is_known_by_its_name_and_answers(cluster, namespace, apply, printed):
    apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod(WEB)},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    cluster.kubectl("--namespace", namespace, "rollout", "status", "deploy/web", "--timeout=120s")

    assert printed(pod(shell("wget -qO- http://web/passwd"))).startswith("root:")


def test_a_claim_gets_a_volume_that_goes_when_the_claim_does(cluster, namespace, apply, printed):
    apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "10Mi"}},
            },
        }
    )
    mount = {"name": "data", "mountPath": "/data"}
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    script = "touch /data/file; ls -n /data/file"

    listed = printed(pod(shell(script, volumeMounts=[mount]), volumes=[volume]))

    assert " 65532 " in listed
    claim = ["--namespace", namespace, "get", "pvc", "data"]
    name = cluster.kubectl(*claim, "--output=jsonpath={.spec.volumeName}")
    assert cluster.kubectl("get", "pv", name, "--output=name")
    cluster.kubectl("--namespace", namespace, "delete", "job/job", "pvc/data", "--timeout=60s")
    cluster.kubectl("wait", "--for=delete", f"pv/{name}", "--timeout=60s")


@ours
def test_an_image_that_was_pushed_here_runs_under_its_name_in_production(docker, printed, tmp_path):
    (tmp_path / "Dockerfile").write_text(
        "ARG BASE\nFROM ${BASE}\nRUN echo built > /built\nUSER 65532\n"
    )
    image = f"{docker.registry}/some-project/some-image:v1"
    docker.run("build", f"--build-arg=BASE={docker.base}", f"--tag={image}", str(tmp_path))
    docker.run("push", image)
    in_production = f"gcr.io/some-project/some-image@{docker.digest(image)}"

    container = shell("cat /built", image=in_production, imagePullPolicy="Always")

    assert printed(pod(container)) == "built\n"


@ours
def test_a_pod_reaches_what_the_tests_serve(cluster, printed, tmp_path):
    (tmp_path / "file").write_text("from the test\n")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=tmp_path)  # type: ignore[arg-type]

    with http.server.ThreadingHTTPServer((cluster.host, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{cluster.host}:{server.server_port}/file"
        assert printed(pod(shell(f"wget -qO- {url}"))) == "from the test\n"
        server.shutdown()


OWNER = """
import sys, time
from tests.cluster.node.node import Node
with Node(sys.argv[1]).started():
    time.sleep(600)
"""


@contextmanager
def owned(node: Node) -> Iterator["subprocess.Popen[bytes]"]:
    """The process of somebody who started a node that is ready."""
    begin = time.monotonic()
    owner = subprocess.Popen([sys.executable, "-c", OWNER, node.name], cwd=ROOT)
    try:
        until(lambda: node.running or owner.poll() is not None)
        print(f"a node was ready after {time.monotonic() - begin:.0f} s")
        yield owner
    finally:
        owner.kill()
        owner.wait()


@pytest.fixture
def node() -> Iterator[Node]:
    """A node that nobody has started yet, on a machine that can."""
    with possible(lambda: requirements.checked(requirements.NODE)):
        node = Node.fresh()
        yield node
        if node.enclosure.running:
            node.enclosure.close()


def test_nothing_of_a_node_is_left_when_its_owner_is_killed(node):
    before = traces.found()
    with owned(node) as owner:
        running = processes(node.enclosure)
        assert len(running) > 10
        owner.kill()
        until(lambda: not node.enclosure.folder.exists())

    until(lambda: ended(running))
    assert traces.left(before, node.enclosure) == {}


def test_make_cluster_starts_one_that_stays_until_cluster_down(node):
    def make(verb: str) -> str:
        command = [sys.executable, "-m", "tests.cluster.node", verb, node.name]
        return subprocess.run(
            command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    before = traces.found()
    config = make("up").splitlines()[-1].removeprefix("export KUBECONFIG=")
    running = processes(node.enclosure)

    assert Path(config).exists()
    assert "is running" in make("up")
    assert processes(node.enclosure) == running
    assert "is gone" in make("down")
    until(lambda: ended(running))
    assert traces.left(before, node.enclosure) == {}
    assert "no Kubernetes node" in make("down")


@pytest.mark.parametrize(("broken", "cure"), [("etcd", "etcd-server"), ("ip", "iproute2")])
def test_a_machine_that_cannot_is_told_what_it_lacks(monkeypatch, broken, cure):
    which = requirements.shutil.which
    monkeypatch.setattr(requirements.shutil, "which", lambda n: None if n == broken else which(n))

    with pytest.raises(requirements.CannotRun, match=f"apt-get install .*{cure}"):
        requirements.check(requirements.NODE)
