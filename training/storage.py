"""Where data live: a local path, Google Cloud Storage or an S3-compatible store."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from pyarrow import fs

PROJECT = Path(__file__).parent


def locate(url: str) -> tuple[fs.FileSystem, str]:
    """Return the file system that a path or URL belongs to, and the path inside it.

    A relative path starts at the project's folder, where `mlflow run` starts the entry points too.
    """
    scheme, _, path = url.partition("://")
    if not path:
        return fs.LocalFileSystem(), str(PROJECT / Path(url).expanduser())
    if scheme == "gs":
        return _google(), path
    if scheme == "s3":
        return _s3(), path
    raise ValueError(f"{url!r}: use a local path, gs://BUCKET/PATH or s3://BUCKET/PATH")


def _google() -> fs.FileSystem:
    # Arrow does not read the variable by which every other Google client finds an emulator.
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    if not emulator:
        return fs.GcsFileSystem()
    host = urlsplit(emulator if "://" in emulator else f"http://{emulator}")
    return fs.GcsFileSystem(anonymous=True, scheme=host.scheme, endpoint_override=host.netloc)


def _s3() -> fs.FileSystem:
    # MLflow's own variable, so that one setting serves the artifacts and the data.
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL")
    return fs.S3FileSystem(endpoint_override=endpoint) if endpoint else fs.S3FileSystem()
