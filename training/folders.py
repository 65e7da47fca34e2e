"""Folders that go with the process."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_scratch: list[Path] = []


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """Make a folder that is gone afterwards."""
    # Sockets in it have paths of 107 characters at most; macOS's own folder leaves too few.
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))  # noqa: S108
    _scratch.append(folder)
    try:
        yield folder
    finally:
        _scratch.remove(folder)
        shutil.rmtree(folder, ignore_errors=True)


def remove() -> None:
    """Leave none behind in a process that ends without leaving its `with` blocks."""
    for folder in _scratch:
        shutil.rmtree(folder, ignore_errors=True)
