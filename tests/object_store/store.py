"""The object store's pod, its container run as a process, from the manifest that is rendered."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
from botocore.config import Config

from components import object_store
from components.local.account import admit
from components.object_store import ObjectStore, ObjectStoreArgs, ObjectStoreSettings
from server.spec import ServerSpec
from tests.local.container import Document, Pod, Running, free_port
from tests.unit.conftest import run

SECRET = "kubernetes:core/v1:Secret"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"


class Store:
    """One pod with one volume, which stay while its container is started and ended."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.port = free_port(1)
        args = ObjectStoreArgs(
            namespace="mlflow",
            settings=ObjectStoreSettings(storage_gib=1),
            service="mlflow-objects",
            account="objects",
            protect=False,
        )
        record = run(lambda: ObjectStore("mlflow", args))
        spec = record.one(STATEFUL_SET).inputs["spec"]["template"]["spec"]
        (self.container,) = spec["containers"]
        self.pod = Pod(
            spec,
            folder,
            programs,
            {
                object_store.DATA: f"{folder}/data",
                object_store.CONFIGURATION: f"{folder}/configuration",
                object_store.SECRETS: f"{folder}/secrets",
                str(object_store.PORT): str(self.port),
            },
        )
        self.pod.make(object_store.DATA)
        self.volume = folder / "data"
        self.bucket = self.volume / "objects" / object_store.BUCKET
        self._write(object_store.CONFIGURATION, record.one(CONFIG_MAP).inputs["data"])
        users = record.one(SECRET).inputs["stringData"]
        self._write(object_store.SECRETS, users)
        (self.user,) = json.loads(users["users.json"])["accessAccounts"].values()
        self.started: list[Running] = []

    def _write(self, folder: str, files: Document) -> None:
        for name, content in files.items():
            self.pod.write(f"{folder}/{name}", content)

    def launch(self) -> Running:
        """Start the container, and wait for nothing."""
        self.started.append(self.pod.start(self.container))
        return self.started[-1]

    def start(self) -> Running:
        """Start the container, and wait until the kubelet would call the pod ready."""
        running = self.launch()
        probe = self.container["readinessProbe"]["httpGet"]["path"]
        running.until(lambda: urlopen(f"http://127.0.0.1:{self.port}{probe}", timeout=5))  # noqa: S310
        return running

    def end(self) -> None:
        """Leave no process behind."""
        for running in self.started:
            running.stop(signal.SIGKILL)

    @property
    def environment(self) -> dict[str, str]:
        """What a tracking server is told of it."""
        where = ServerSpec.s3(f"http://127.0.0.1:{self.port}", None)
        return {**where, **ServerSpec.s3_keys(self.user["access"], self.user["secret"])}

    def client(self, **options: Any) -> Any:
        """Amazon's client, as the server; what it asks for is signed as MLflow signs it."""
        told = self.environment
        return boto3.client(
            "s3",
            endpoint_url=told["MLFLOW_S3_ENDPOINT_URL"],
            region_name=told["AWS_DEFAULT_REGION"],
            aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
            config=Config(
                signature_version="s3v4",
                request_checksum_calculation=told["AWS_REQUEST_CHECKSUM_CALCULATION"],
                response_checksum_validation=told["AWS_RESPONSE_CHECKSUM_VALIDATION"],
                **options,
            ),
        )


def copied(program: Path, folder: Path) -> Path:
    """A folder of programs that the pod's user may enter."""
    shutil.copy(program, folder / program.name)
    admit(folder / program.name)
    (folder / program.name).chmod(0o755)
    return folder
