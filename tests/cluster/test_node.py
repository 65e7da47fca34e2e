"""The cluster that the other tests stand on is one, and leaves nothing."""

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster import requirements, traces
from tests.cluster.cluster import GIVEN
from tests.cluster.conftest import possible
from tests.cluster.ending import ended, processes, until
from tests.cluster.node.node import Node
from tests.cluster.pods import CONTAINER, pod, shell
from tools.project import ROOT

WEB = CONTAINER | {
    "name": "web",
    "command": ["sh", "-c", "trap exit TERM; httpd -f -p 8080 -h /etc & wait"],
    "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
}
"""Serves its /etc, and ends when it is told to."""

ours = pytest.mark.skipif(GIVEN in os.environ, reason=f"the cluster of {GIVEN} is not ours")


def test_a_job_without_root_and_with_a_native_sidecar_completes(printed):
    writable = "for place in / /tmp; do touch $place/x 2>/dev/null && exit 1; done"
    script = f"{writable}; wget -qO- http://localhost:8080/passwd; id -u"
    started = WEB | {"startupProbe": WEB["readinessProbe"]}

    lines = printed(pod(shell(script), sidecars=(started,))).splitlines()

    assert lines[0].startswith("root:")
    assert lines[-1] == "65532"


DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod(WEB)},
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}
FETCH = "timeout 5 wget -qO- http://web/passwd"


def test_a_service_is_known_by_its_name_and_answers(cluster, namespace, apply, printed):
    apply(DEPLOYMENT, SERVICE)
    cluster.kubectl("--namespace", namespace, "rollout", "status", "deploy/web", "--timeout=120s")

    assert printed(pod(shell(FETCH))).startswith("root:")


@ours
def test_a_network_policy_holds_for_who_is_not_named_in_it(cluster, namespace, apply, printed):
    friend = {"podSelector": {"matchLabels": {"app": "friend"}}}
    apply(
        DEPLOYMENT,
        SERVICE,
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "web"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "web"}},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [friend], "ports": [{"port": 8080}]}],
            },
        },
    )
    cluster.kubectl("--namespace", namespace, "rollout", "status", "deploy/web", "--timeout=120s")

    refused = f"while {FETCH}; do sleep 1; done; echo refused"  # soon after the pod is known
    assert printed(pod(shell(refused))).endswith("refused\n")
    cluster.kubectl("--namespace", namespace, "delete", "job/job", "--timeout=60s")
    allowed = f"until {FETCH}; do sleep 1; done; echo allowed"
    assert printed(pod(shell(allowed)), app="friend").endswith("allowed\n")


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
from tests.cluster.pods import CONTAINER, pod, shell
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


def test_make_cluster_starts_one_that_stays_until_cluster_down(node, disks):
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
    assert len(list(disks.glob("disk-*"))) == 1


@pytest.mark.parametrize(("broken", "cure"), [("etcd", "etcd-server"), ("ip", "iproute2")])
def test_a_machine_that_cannot_is_told_what_it_lacks(monkeypatch, broken, cure):
    which = requirements.shutil.which
    monkeypatch.setattr(requirements.shutil, "which", lambda n: None if n == broken else which(n))

    with pytest.raises(requirements.CannotRun, match=f"apt-get install .*{cure}"):
        requirements.check(requirements.NODE)
