"""What clients are told of the server's store, with the server's package as the image has it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from components.build_context import BuildContext
from server import relay

ROOT = Path(__file__).parents[2]

ASK = """
import json, os
from mlflow.server import handlers
from mlflow.store.artifact.artifact_repo import MultipartDownloadMixin, MultipartUploadMixin
os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = "s3://mlflow/artifacts"
from mlflow.store.artifact.artifact_repository_registry import get_registered_artifact_repositories
known = get_registered_artifact_repositories()
s3 = handlers._get_artifact_repo_mlflow_artifacts()
print(json.dumps({
    "found": {scheme: known[scheme].__module__ for scheme in ("s3", "gs", "file")},
    "uploads": isinstance(s3, MultipartUploadMixin),
    "downloads": isinstance(s3, MultipartDownloadMixin),
}))
"""
"""The last two are how MLflow decides what to tell its clients (`_get_server_info`)."""


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Path:
    """/app of the image, as the Dockerfile fills it."""
    context, app = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("app")
    BuildContext("server").copy_to(context)
    for line in re.findall(r"^COPY (.+)$", (ROOT / "server/Dockerfile").read_text(), re.M):
        *sources, target = line.split()
        folder = app / Path(target).relative_to("/app")
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources:
            (folder / Path(source).name).write_bytes((context / source).read_bytes())
    return app


@pytest.fixture(scope="module")
def told(app):
    """What MLflow finds in the image, and thinks of it."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK],
        cwd=app,
        env={**os.environ, "PYTHONPATH": str(app)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def test_mlflow_finds_the_relay_for_both_kinds_of_bucket(told):
    assert told["found"]["s3"] == told["found"]["gs"] == "server.relay"
    assert told["found"]["file"].startswith("mlflow.")


def test_clients_are_not_sent_to_a_store_that_they_cannot_reach(told):
    assert (told["uploads"], told["downloads"]) == (False, False)


@pytest.mark.parametrize("kind", [relay.S3, relay.GoogleStorage])
def test_the_relay_does_all_that_a_store_can_be_asked_to(kind):
    """What a store's class does its own way, and the relay would do in the general one."""
    own = {name for name in vars(kind.store) if callable(getattr(ArtifactRepository, name, None))}

    assert own - {"__init__"} <= set(vars(relay._Relay))


class Folder(relay._Relay):
    """A store that needs no server."""

    store = LocalArtifactRepository


def test_clients_do_not_ask_again_for_what_is_not_there(tmp_path):
    with pytest.raises(MlflowException, match="no artifact 1/model") as missing:
        Folder(tmp_path.as_uri()).download_artifacts("1/model")

    assert missing.value.get_http_status_code() == 404


def test_clients_ask_again_for_what_could_not_be_read(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError("the store went away")

    (tmp_path / "1").mkdir()
    (tmp_path / "1/model").write_text("a model")
    monkeypatch.setattr(LocalArtifactRepository, "_download_file", broken)

    with pytest.raises(MlflowException, match="the store went away") as failure:
        Folder(tmp_path.as_uri()).download_artifacts("1/model")

    assert failure.value.get_http_status_code() == 500
