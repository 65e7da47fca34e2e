"""A model that MLflow's client calls large: it asks whether it may send it past the server."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from .eventually import eventually

MIB = 2**20
MODEL_MIB = 200


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Less than half of what MLflow's client calls large by itself; real pods are sent 1.5 GB."""
    for way in ("UPLOAD", "DOWNLOAD"):
        monkeypatch.setenv(f"MLFLOW_MULTIPART_{way}_MINIMUM_FILE_SIZE", str(MODEL_MIB * MIB))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Iterator[Path]:
    file: Path = tmp_path_factory.mktemp("model") / "model.bin"
    with file.open("wb") as content:
        for number in range(MODEL_MIB):
            content.write(hashlib.sha256(str(number).encode()).digest() * (MIB // 32))
    yield file
    file.unlink()


@pytest.fixture
def run(stack) -> str:
    client = MlflowClient(stack.uri)
    return str(client.create_run("0").info.run_id)


def digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def test_a_big_model_goes_to_the_store_and_back(stack, model, run, tmp_path):
    client = MlflowClient(stack.uri)
    client.log_artifact(run, str(model))
    there = Path(client.download_artifacts(run, model.name, str(tmp_path)))

    assert digest(there) == digest(model)


def survived(stack, transfer: Callable[[], None]) -> None:
    """Make a transfer, in whose middle every server that is at it dies."""
    workers = psutil.Process(stack.pid("server")).children()
    before = {worker: worker.io_counters().write_chars for worker in workers}

    def busy() -> list[psutil.Process]:
        return [
            worker
            for worker in workers
            if worker.io_counters().write_chars - before[worker] > 100 * MIB
        ]

    with ThreadPoolExecutor(1) as beside:
        made = beside.submit(transfer)
        eventually(busy)
        for worker in busy():
            worker.kill()
        made.result()


@pytest.fixture
def patient(monkeypatch):
    """As MLflow's client comes."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")


@pytest.mark.usefixtures("patient")
def test_an_upload_survives_a_server_that_dies_in_the_middle(stack, model, run, tmp_path):
    client = MlflowClient(stack.uri)
    survived(stack, lambda: client.log_artifact(run, str(model)))

    there = Path(client.download_artifacts(run, model.name, str(tmp_path)))
    assert digest(there) == digest(model)


@pytest.mark.usefixtures("patient")
def test_a_download_survives_a_server_that_dies_in_the_middle(stack, model, run, tmp_path):
    client = MlflowClient(stack.uri)
    client.log_artifact(run, str(model))
    survived(stack, lambda: client.download_artifacts(run, model.name, str(tmp_path)))

    assert digest(tmp_path / model.name) == digest(model)
