"""An MLflow project, packed: the same files always give the same bytes, wherever they lie."""

import gzip
import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .problem import Problem

EXCLUDED = frozenset(
    {
        ".env",  # holds the login to the server
        ".git",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".venv",
        "__pycache__",
        "mlartifacts",
        "mlruns",
        "node_modules",
        "venv",
    }
)
"""Files and folders that no Job needs, whether Git ignores them or not."""

MOST_MIB = 256
"""Data belong where `fpath` finds them; each new version of a project would carry them along."""


@dataclass(frozen=True)
class Package:
    """A packed project, which its content names."""

    content: bytes
    files: int

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of all of it."""
        return hashlib.sha256(self.content).hexdigest()


def pack(folder: Path) -> Package:
    """Pack what the project consists of; times, owners and order leave no trace."""
    names = sorted(_names(folder))
    _check_size(folder, names)
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in names:
            file = folder / name
            entry = tarfile.TarInfo(name)
            entry.size = file.stat().st_size
            entry.mode = 0o755 if os.access(file, os.X_OK) else 0o644
            with file.open("rb") as content:
                archive.addfile(entry, content)
    return Package(packed.getvalue(), len(names))


def entries(folder: Path) -> list[str]:
    """What lies in the folder itself and has a part in the project."""
    return sorted({Path(name).parts[0] for name in _names(folder)})


def _names(folder: Path) -> Iterator[str]:
    found = _known_to_git(folder)
    for name in _walked(folder) if found is None else found:
        file = folder / name
        if EXCLUDED.intersection(Path(name).parts) or not os.path.lexists(file):
            continue
        target = file.resolve()
        if file.is_symlink() and not (target.is_file() and target.is_relative_to(folder.resolve())):
            raise Problem(
                f"{file} is a link to {target}, which is no file of the project, so no Job would "
                "have it. Copy it there, or have Git ignore it"
            )
        if target.is_file():  # else it is a repository inside this one
            yield name


def _known_to_git(folder: Path) -> list[str] | None:
    """What Git keeps or would keep; nothing outside of a checkout, or without Git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    names = [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    # A folder that is ignored as a whole is no part of the checkout around it.
    return names if listed.returncode == 0 and names else None


def _walked(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in EXCLUDED]
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in [*files, *links]:
            yield (Path(place) / name).relative_to(folder).as_posix()


def _check_size(folder: Path, names: list[str]) -> None:
    sizes = {name: (folder / name).stat().st_size for name in names}
    if sum(sizes.values()) > MOST_MIB * 2**20:
        largest = max(sizes, key=sizes.__getitem__)
        raise Problem(
            f"{folder} has {sum(sizes.values()) >> 20} MiB, the largest file is {largest} with "
            f"{sizes[largest] >> 20} MiB; {MOST_MIB} MiB are allowed. Put data where the project "
            "reads it from, at gs:// or s3://, and have Git ignore what is left"
        )
