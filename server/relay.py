"""All artifacts go through the server: clients are offered no address of the store.

MLflow tells clients of a server with a bucket to fetch every file, and to send large ones, at an
address that it signs for them. Whoever works through a tunnel cannot reach a store inside of the
cluster, and without a key, as under Workload Identity, nothing can be signed for Cloud Storage. A
client that is told so fails; it does not fall back.

MLflow finds these classes by `plugins/mlflow_relay.dist-info`, whose folder is on Python's path.
"""

from collections.abc import Callable
from typing import Any

from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.gcs_artifact_repo import GCSArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository


class _Relay(ArtifactRepository):
    """A store without the abilities by which MLflow knows that clients may go there themselves."""

    store: Callable[..., ArtifactRepository]

    def __init__(
        self,
        artifact_uri: str,
        tracking_uri: str | None = None,
        registry_uri: str | None = None,
    ) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self._store: Any = type(self).store(
            artifact_uri, tracking_uri=tracking_uri, registry_uri=registry_uri
        )

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Write one file."""
        self._store.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Write a folder."""
        self._store.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """List what lies directly below a path."""
        found: list[FileInfo] = self._store.list_artifacts(path)
        return found

    def download_artifacts(self, artifact_path: str, dst_path: str | None = None) -> str:
        """Fetch what lies at a path, or say that nothing does.

        MLflow calls that an error of the server, and its clients ask again for four minutes. They
        do ask: `load_model("runs:/…")` looks among the run's files before it looks for the model.
        """
        try:
            found: str = super().download_artifacts(artifact_path, dst_path)  # type: ignore[no-untyped-call]
        except MlflowException as failure:
            folder = artifact_path.rpartition("/")[0] or None
            if any(each.path == artifact_path for each in self.list_artifacts(folder)):
                raise
            missing = f"There is no artifact {artifact_path}."
            raise MlflowException(missing, RESOURCE_DOES_NOT_EXIST) from failure
        return found

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete all that lies below a path."""
        self._store.delete_artifacts(artifact_path)

    def upload_archived_trace_data_bytes(self, data: bytes) -> None:
        """Write a trace that moves out of the database."""
        self._store.upload_archived_trace_data_bytes(data)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._store._download_file(remote_file_path, local_path)


class S3(_Relay):
    """`s3://`, of Amazon or any other."""

    store = S3ArtifactRepository


class GoogleStorage(_Relay):
    """`gs://`."""

    store = GCSArtifactRepository
