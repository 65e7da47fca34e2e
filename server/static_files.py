"""The files of MLflow's pages, compressed once, when the image is built.

MLflow sends them as they are: five megabytes before the first page is seen, four times as much as
needed.
"""

import gzip
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from flask import Flask, make_response, request, send_file
from werkzeug.security import safe_join

PAGES = "mlflow/server/js/build"
"""Where MLflow has them among the installed packages."""

COMPRESSED = {".css", ".js", ".json", ".svg", ".txt", ".wasm"}
"""What gets smaller. Pictures and fonts are compressed already."""

VIEW = "serve_static_file"
"""The name that MLflow's app has for who serves them."""

MAX_AGE_SECONDS = 2419200
"""As MLflow has it: their names hold a hash of what is in them."""


def compress(folder: Path) -> None:
    """Put a compressed file beside each one that gets smaller by it."""
    for file in sorted(folder.rglob("*")):
        if file.suffix in COMPRESSED:
            small = gzip.compress(file.read_bytes(), mtime=0)  # the same bytes in each build
            if len(small) < file.stat().st_size:
                file.with_name(f"{file.name}.gz").write_bytes(small)


def serve_compressed(app: Flask) -> None:
    """Serve the compressed file, where there is one, to whoever takes it."""
    plain = app.view_functions[VIEW]

    def view(path: str) -> Any:
        small = safe_join(str(app.static_folder), f"{path}.gz")
        if small is None or not Path(small).is_file():
            return plain(path)
        # A part of a compressed file is of use to nobody.
        if request.accept_encodings["gzip"] and not request.range:
            name = Path(path).name
            answer = send_file(small, download_name=name, max_age=MAX_AGE_SECONDS)
            answer.content_encoding = "gzip"
        else:
            answer = make_response(plain(path))
        answer.vary.add("Accept-Encoding")
        return answer

    app.view_functions[VIEW] = view


def pages() -> Path:
    """Where MLflow's are. To import MLflow for it takes seconds, and leaves a file of its own."""
    return Path(str(distribution("mlflow").locate_file(PAGES)))


if __name__ == "__main__":
    compress(pages())
