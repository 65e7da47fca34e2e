"""What keeps a pod from running is what `pulumi up` ends with, in the pod's own words."""

import copy
import json
from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.images import stores
from tests.cluster.images.docker import Docker
from tests.cluster.kind import stack as stacks
from tests.cluster.kind.stack import Refusal, Stack
from tests.cluster.pods import pod, shell
from tests.cluster.provider.manifest import Manifest

SECRET = "shared-database"

NOBODY = "postgresql+psycopg2://mlflow:secret@127.0.0.1:1/mlflow"
"""Where nobody listens, which a pod learns at once."""

SMALL = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "small-disk"},
    "spec": pod(
        shell("sleep 3600", volumeMounts=[{"name": "disk", "mountPath": "/disk"}]),
        volumes=[{"name": "disk", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}],
        terminationGracePeriodSeconds=0,
    ),
}
"""A disk that is full long before a database is on it. It is there for as long as its pod."""


@pytest.fixture(scope="module")
def other(
    cluster: Cluster,
    docker: Docker,
    tracking_image: str,  # in the registry, so that `up` need not build it
    training_image: str,  # and it
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """A stack in namespaces that others made, with stores that others run. It is not up."""
    with stacks.made(cluster, docker, tmp_path_factory.mktemp("other"), patience=5) as other:
        del other.settings["database"], other.settings["objectStore"]
        other.settings |= {
            "namespaces": {"serving": "other", "training": "other-training", "create": False},
            "externalDatabase": {"secret": SECRET},
            "externalArtifacts": {"url": "s3://shared/artifacts", "secret": "shared-objects"},
        }
        for namespace in (other.serving, other.training):
            cluster.kubectl("create", "namespace", namespace)
            enforced = "pod-security.kubernetes.io/enforce=restricted"
            cluster.kubectl("label", "namespace", namespace, enforced)
        yield other


@pytest.fixture
def secret(other: Stack) -> Iterator[None]:
    literals = [f"--from-literal={key}={NOBODY}" for key in ("owner-url", "runtime-url")]
    other.kubectl("create", "secret", "generic", SECRET, *literals)
    yield
    other.kubectl("delete", "secret", SECRET)


@pytest.fixture
def small_class(other: Stack) -> Iterator[str]:
    """A storage class with one volume, which is small whatever it says."""
    other.kubectl("create", "--filename=-", stdin=json.dumps(SMALL))
    name = "small-disk"
    other.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
    uid = other.kubectl("get", "pod", name, "--output=jsonpath={.metadata.uid}")
    path = f"/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/disk"
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": name,
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": path, "type": "Directory"},
            "persistentVolumeReclaimPolicy": "Retain",
        },
    }
    other.kubectl("create", "--filename=-", stdin=json.dumps(volume))
    yield name
    other.kubectl("delete", "persistentvolume", name, "--wait=false")
    other.kubectl("delete", "pod", name)


def impatient(manifest: Manifest) -> Manifest:
    """A migration that does not wait five minutes for a proxy to start."""
    if manifest["kind"] != "Job":
        return manifest
    changed = copy.deepcopy(manifest)
    (container,) = changed["spec"]["template"]["spec"]["containers"]
    wait = "from server import migration; migration.REACH_SECONDS = 5; migration.main()"
    container["command"] = ["python", "-c", wait]
    return changed


def test_a_missing_secret_is_named(other):
    reason = rf'\[CreateContainerConfigError\] secret "{SECRET}" not found'

    with pytest.raises(Refusal, match=reason):
        other.up()


@pytest.mark.usefixtures("secret")
def test_a_database_that_cannot_be_reached_is_named(other):
    reason = r"The database cannot be reached: .*127\.0\.0\.1.*Connection refused"

    with other.edited(impatient), pytest.raises(Refusal, match=reason) as refusal:
        other.up()

    assert "secret@" not in str(refusal.value)


def test_a_full_volume_is_named(other, small_class):
    del other.settings["externalDatabase"]
    other.settings["database"] = {
        "version": stores.POSTGRES_VERSION,
        "storageGib": 1,
        "storageClass": small_class,
        "image": stores.postgres(other.docker),
    }

    with pytest.raises(Refusal, match="No space left on device"):
        other.up()
