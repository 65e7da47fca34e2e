"""The object store's pod, run as the kubelet would, and used by MLflow's own client."""

import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError

from components import object_store
from components.local.account import admit
from components.object_store import ObjectStore, ObjectStoreArgs, ObjectStoreSettings
from server.spec import ServerSpec
from tests.unit.conftest import run

from .container import Pod, Running, free_port


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, in a folder that the pod's user may enter."""
    folder = tmp_path_factory.mktemp("programs")
    found = shutil.which("weed") or Path(sys.executable).with_name("weed")
    shutil.copy(found, folder / "weed")
    admit(folder / "weed")
    (folder / "weed").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def port() -> int:
    return free_port(1, 2, 3, 10000, 10001, 10002, 10003)


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def pod(
    tmp_path_factory: pytest.TempPathFactory, weed: Path, port: int, keys: dict[str, str]
) -> Pod:
    folder = tmp_path_factory.mktemp("pod")
    args = ObjectStoreArgs(
        namespace="mlflow",
        settings=ObjectStoreSettings(storage_gib=1),
        service="mlflow-objects",
        account="objects",
        protect=False,
    )

    def build() -> None:
        store = ObjectStore("mlflow", args)
        store.access_key.apply(lambda key: keys.update(access=key))
        store.secret_key.apply(lambda key: keys.update(secret=key))

    record = run(build)
    spec = record.one("kubernetes:apps/v1:StatefulSet").inputs["spec"]["template"]["spec"]
    pod = Pod(
        spec,
        folder,
        weed,
        {
            object_store.DATA: f"{folder}/data",
            object_store.CONFIGURATION: f"{folder}/configuration",
            object_store.SECRETS: f"{folder}/secrets",
            str(object_store.PORT): str(port),
            "0.0.0.0": "127.0.0.1",
        },
    )
    pod.make("/data")
    files = record.one("kubernetes:core/v1:ConfigMap").inputs["data"]
    for name, content in files.items():
        pod.write(f"{object_store.CONFIGURATION}/{name}", content)
    secret = record.one("kubernetes:core/v1:Secret").inputs["stringData"]
    for name, content in secret.items():
        pod.write(f"{object_store.SECRETS}/{name}", content)
    return pod


Start = Callable[[], Running]


@pytest.fixture(scope="module")
def start(pod: Pod, port: int) -> Iterator[Start]:
    (container,) = pod.spec["containers"]
    started: list[Running] = []

    def start() -> Running:
        started.append(pod.start(container))
        pod.run(container, *container["lifecycle"]["postStart"]["exec"]["command"])
        probe = container["readinessProbe"]["httpGet"]["path"]
        started[-1].until(lambda: urlopen(f"http://127.0.0.1:{port}{probe}"))  # noqa: S310
        return started[-1]

    yield start
    for running in started:
        running.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def store(start: Start) -> Running:
    return start()


@pytest.fixture
def server(store: object, port: int, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Amazon's client with the environment of a tracking server."""
    environment = ServerSpec.s3(f"http://127.0.0.1:{port}", None)
    for name, value in {
        **environment,
        **ServerSpec.s3_keys(keys["access"], keys["secret"]),
    }.items():
        monkeypatch.setenv(name, value)
    return boto3.client("s3", endpoint_url=environment["MLFLOW_S3_ENDPOINT_URL"])


def test_mlflow_writes_reads_lists_and_deletes_artifacts_small_and_large(server, tmp_path):
    from server import relay

    artifacts = relay.S3(f"s3://{object_store.BUCKET}/artifacts/1")
    (tmp_path / "note.txt").write_text("took off")
    (tmp_path / "model.bin").write_bytes(b"m" * (20 << 20))
    artifacts.log_artifacts(str(tmp_path), "model")

    assert {f.path: f.file_size for f in artifacts.list_artifacts("model")} == {
        "model/note.txt": 8,
        "model/model.bin": 20 << 20,
    }
    copy = Path(artifacts.download_artifacts("model", str(tmp_path)))
    assert (copy / "note.txt").read_text() == "took off"
    assert (copy / "model.bin").stat().st_size == 20 << 20
    artifacts.delete_artifacts("model")
    assert artifacts.list_artifacts("model") == []


@pytest.mark.parametrize(
    "act",
    [
        lambda s3: s3.create_bucket(Bucket="another"),
        lambda s3: s3.delete_bucket(Bucket=object_store.BUCKET),
        lambda s3: s3.put_object(Bucket="another", Key="x", Body=b""),
    ],
    ids=["make another bucket", "delete its bucket", "write elsewhere"],
)
def test_the_server_may_do_no_more_than_it_needs(server, act):
    with pytest.raises(ClientError, match="AccessDenied"):
        act(server)


def test_nobody_else_may_do_anything(server, port):
    stranger = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="stranger",
        aws_secret_access_key="guess",
    )
    with pytest.raises(ClientError):
        stranger.list_objects_v2(Bucket=object_store.BUCKET)


def test_only_s3_listens_to_others(store, pod):
    (container,) = pod.spec["containers"]
    script = Path(pod.folder / "configuration/object_store.sh").read_text()

    assert script.count("ip.bind=127.0.0.1") == 2  # its own, and S3's as this test replaced it
    listening = psutil.Process(store.process.pid).net_connections()
    assert {c.laddr.ip for c in listening if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    assert [p["containerPort"] for p in container["ports"]] == [object_store.PORT]


def test_no_key_is_among_the_arguments(store, keys):
    arguments = " ".join(psutil.Process(store.process.pid).cmdline())

    assert keys
    assert [key for key in keys.values() if key in arguments] == []


def test_what_was_written_is_there_after_a_restart(server, start, store, pod):
    server.put_object(Bucket=object_store.BUCKET, Key="kept", Body=b"kept")
    begun = time.monotonic()

    store.stop()
    assert time.monotonic() - begun < pod.spec["terminationGracePeriodSeconds"]
    start()

    answer = server.get_object(Bucket=object_store.BUCKET, Key="kept")
    assert answer["Body"].read() == b"kept"
