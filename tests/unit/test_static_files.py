"""The files of the pages, compressed."""

import gzip
from pathlib import Path

import pytest
from flask import Flask, send_from_directory
from mlflow.server import app as mlflow_app

from server import static_files

SCRIPT = b"take off; " * 200
PICTURE = b"\x89PNG" * 200


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "js").mkdir()
    (tmp_path / "js/main.js").write_bytes(SCRIPT)
    (tmp_path / "js/short.js").write_bytes(b";")
    (tmp_path / "heron.png").write_bytes(PICTURE)
    static_files.compress(tmp_path)
    return tmp_path


@pytest.fixture
def client(folder):
    app = Flask(__name__, static_folder=str(folder))

    @app.route("/static-files/<path:path>")
    def serve_static_file(path):
        return send_from_directory(app.static_folder, path, max_age=static_files.MAX_AGE_SECONDS)

    static_files.serve_compressed(app)
    return app.test_client()


def test_what_is_compressed_is_what_mlflow_serves():
    assert static_files.pages() == Path(mlflow_app.static_folder)
    assert (static_files.pages() / "index.html").is_file()


def test_only_what_gets_smaller_is_compressed(folder):
    assert [file.name for file in folder.rglob("*.gz")] == ["main.js.gz"]


def test_the_same_files_are_compressed_to_the_same_bytes(folder):
    before = (folder / "js/main.js.gz").read_bytes()
    (folder / "js/main.js").touch()
    static_files.compress(folder)

    assert (folder / "js/main.js.gz").read_bytes() == before


def test_a_browser_gets_fewer_bytes_of_the_same_script(client):
    plain = client.get("/static-files/js/main.js")
    small = client.get("/static-files/js/main.js", headers={"Accept-Encoding": "gzip, br"})

    assert plain.data == gzip.decompress(small.data) == SCRIPT
    assert len(small.data) < len(SCRIPT) / 4
    assert small.content_encoding == "gzip"
    same = ("content-type", "content-disposition", "cache-control")
    assert [small.headers[name] for name in same] == [plain.headers[name] for name in same]
    assert small.headers["etag"] != plain.headers["etag"]


def test_a_cache_keeps_the_two_apart(client):
    for encoding in ("gzip", "identity"):
        answer = client.get("/static-files/js/main.js", headers={"Accept-Encoding": encoding})

        assert "Accept-Encoding" in answer.vary


@pytest.mark.parametrize("path", ["js/short.js", "heron.png"])
def test_what_was_not_compressed_comes_as_it_is(client, path, folder):
    answer = client.get(f"/static-files/{path}", headers={"Accept-Encoding": "gzip"})

    assert answer.content_encoding is None
    assert answer.data == (folder / path).read_bytes()


def test_a_part_is_a_part_of_the_script(client):
    part = {"Accept-Encoding": "gzip", "Range": "bytes=5-9"}

    assert client.get("/static-files/js/main.js", headers=part).data == SCRIPT[5:10]


@pytest.mark.parametrize("path", ["js/none.js", "../secret.js"])
def test_what_is_not_there_is_not_found(client, path, folder):
    (folder.parent / "secret.js.gz").write_bytes(b"secret")

    answer = client.get(f"/static-files/{path}", headers={"Accept-Encoding": "gzip"})

    assert answer.status_code == 404
