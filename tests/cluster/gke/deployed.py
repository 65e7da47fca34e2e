"""The stack `dev`, with a login, brought up by the real Pulumi on a real cluster."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.sql_proxy import IMAGE
from mlflow_platform_client.files import LOGIN
from platforms.gke import SERVICE, SERVING, TRAINING
from server.pod import SERVER
from tests.cluster.cloud_sql import image
from tests.cluster.cluster import Cluster
from tests.cluster.images.docker import Docker
from tests.cluster.provider import ClusterProvider, cloud_on
from tests.engine.cloud import StandInCloud
from tests.engine.cloud.gcp import KINDS
from tests.engine.cloud.gcp.project import GoogleCloud
from tests.engine.stack import Stack
from tests.engine.tokens import PASSWORD
from tests.kubernetes_schemas import GOOGLES
from tools import pulumi_cli

from .additions import Additions
from .builds import DockerBuilds
from .client import Client
from .data_plane import DataPlane

PERSON = "ana@example.com"
"""Somebody in `access.people`."""

PATIENCE = 60
"""Seconds in which a pod may look hopeless: this machine is a slow node."""


@dataclass(frozen=True)
class Deployed:
    """What the program has made, and what it runs on."""

    cluster: Cluster
    stack: Stack
    data: DataPlane

    def kubectl(self, *arguments: str, namespace: str = SERVING, stdin: str = "") -> str:
        """Run kubectl in the server's namespace, or in another one."""
        return self.cluster.kubectl(f"--namespace={namespace}", *arguments, stdin=stdin)

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """All of a kind that are beside the server."""
        return list(json.loads(self.kubectl("get", kind, "--output=json"))["items"])

    def one(self, kind: str) -> dict[str, Any]:
        """The only one of a kind beside the server."""
        (found,) = self.objects(kind)
        return found

    def pods(self, component: str = "tracking") -> list[dict[str, Any]]:
        """The server's, or the migration's."""
        label = ("app.kubernetes.io/component", component)
        return [
            pod for pod in self.cluster.pods(SERVING) if label in pod["metadata"]["labels"].items()
        ]

    def pod(self, name: str) -> dict[str, Any]:
        """One of them, as it is now."""
        (found,) = [pod for pod in self.cluster.pods(SERVING) if pod["metadata"]["name"] == name]
        return found

    @property
    def database_passwords(self) -> list[str]:
        """Every password for the database that the program has made."""
        made = self.stack.cloud.world.of(PASSWORD)
        return [each.outputs["result"]["value"] for each in made if "Database" in each.urn]

    @property
    def image(self) -> str:
        """The servers'."""
        (server,) = self.one("deployment")["spec"]["template"]["spec"]["containers"]
        return str(server["image"])

    def scientist(self) -> tuple[str, str]:
        """A user who is no admin, and the password; a Secret beside training Jobs has both."""
        user, password = "dora", secrets.token_urlsafe(16)
        admin = self.stack.outputs("--show-secrets")["adminPassword"]
        program = Path(__file__).with_name("create_user.py").read_text()
        pod = f"exec --stdin {self.pods()[0]['metadata']['name']} --container={SERVER} --".split()
        self.kubectl(*pod, "python", "-c", program, user, stdin=f"{admin}\n{password}")
        known = f"MLFLOW_TRACKING_USERNAME={user}\nMLFLOW_TRACKING_PASSWORD={password}\n"
        # As docs/access.md says it, by somebody in `access.people`.
        made = f"create secret generic {LOGIN} --from-env-file=/dev/stdin --as={PERSON}".split()
        self.kubectl(*made, namespace=TRAINING, stdin=known)
        return user, password

    @contextmanager
    def tunnel(self) -> Iterator[str]:
        """Open one to the server for as long as the context lasts; its address."""
        command = [self.cluster.program, f"--kubeconfig={self.cluster.kubeconfig}"]
        command += [f"--namespace={SERVING}", "port-forward", f"service/{SERVICE}", ":80"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout
                said = process.stdout.readline()  # Forwarding from 127.0.0.1:PORT -> 5000
                yield f"http://{said.split()[2]}"
            finally:
                process.terminate()

    def client(self) -> Client:
        """One that runs beside training Jobs, at the address that the stack exports for those."""
        client = Client(self.cluster, TRAINING)
        client.start(self.image, self.stack.outputs()["trackingUriInCluster"], LOGIN)
        return client


@contextmanager
def deployed(cluster: Cluster, docker: Docker, folder: Path) -> Iterator[Deployed]:
    """Have it up for as long as the context lasts."""
    assert cluster.host is not None, "pods must reach what listens on this machine"
    image.push(docker, IMAGE)
    with ExitStack() as stack:
        data = stack.enter_context(DataPlane(cluster.host))
        cloud = _google(cluster, docker, data)
        stack.enter_context(cloud)
        stack.callback(_clear, cluster)
        # GKE's clusters have it.
        cluster.kubectl("apply", f"--filename={GOOGLES}")
        cluster.kubectl("wait", "--for=condition=Established", f"--filename={GOOGLES}")
        dev = Stack("dev", folder, cloud, pulumi_cli.find())
        dev.set("access.auth", "basic")
        dev.set("access.people[0]", PERSON)
        dev.up()
        yield Deployed(cluster, dev, data)


def _google(cluster: Cluster, docker: Docker, data: DataPlane) -> StandInCloud:
    kubernetes = ClusterProvider(
        str(cluster.kubeconfig), always=True, edit=Additions(data), patience=PATIENCE
    )
    cloud = cloud_on(kubernetes)
    parts = (cloud.world, cloud.clock, cloud.journal, cloud.faults)
    cloud.providers["gcp"] = GoogleCloud(data.kinds(KINDS), *parts)
    cloud.programs = (DockerBuilds(docker, cloud),)
    return cloud


def _clear(cluster: Cluster) -> None:
    """Leave the cluster as it was, without the time that servers have for their last requests."""
    namespaces = ("namespace", SERVING, TRAINING)
    # First, so that no new pods come for those that go.
    cluster.kubectl("delete", *namespaces, "--ignore-not-found", "--wait=false")
    for namespace in (SERVING, TRAINING):
        gone = ("delete", "pods", "--all", "--grace-period=1", "--wait=false")
        cluster.kubectl(f"--namespace={namespace}", *gone)
    cluster.kubectl("wait", "--for=delete", *namespaces, "--timeout=120s")
    cluster.kubectl("delete", f"--filename={GOOGLES}", "--ignore-not-found")
