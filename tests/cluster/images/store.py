"""Images that were built or pushed, kept from one run of the tests to the next."""

import fcntl
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from tools.project import cache

LIMIT = 6 * 2**30
"""Bytes that a store may hold when it is opened; a larger one begins anew."""

PUSHED = "registry"
"""What a registry serves. Many may use it at once."""


@contextmanager
def shared(name: str) -> Iterator[Path]:
    """A store that others may use too."""
    with ExitStack() as stack:
        lock = stack.enter_context((_folder() / f"{name}.lock").open("w"))
        store = _folder() / name
        if _locked(lock, fcntl.LOCK_EX):
            _bound(store)
        fcntl.flock(lock, fcntl.LOCK_SH)
        store.mkdir(exist_ok=True)
        yield store


@contextmanager
def own(name: str) -> Iterator[Path]:
    """A store for one user at a time: the first that nobody has."""
    for number in itertools.count():
        with (_folder() / f"{name}-{number}.lock").open("w") as lock:
            if _locked(lock, fcntl.LOCK_EX):
                store = _folder() / f"{name}-{number}"
                _bound(store)
                store.mkdir(exist_ok=True)
                yield store
                return


def take(disk: Path) -> None:
    """Move a disk that somebody gave back to where it is wanted; the newest, if there is one."""
    for kept in sorted(_folder().glob("disk-*"), reverse=True):
        with suppress(OSError):  # another was faster, or it is wanted on another file system
            kept.rename(disk)
            return


def give_back(disk: Path) -> None:
    """Keep a disk for who takes it next, unless it is too large."""
    if disk.stat().st_blocks * 512 > LIMIT:
        return
    with disk.open("rb") as file:
        os.fsync(file.fileno())  # after a power loss it is whole, or not there
    disk.rename(_folder() / f"disk-{time.time_ns()}")


@contextmanager
def building(image: str) -> Iterator[None]:
    """One builds it at a time: who waited finds it in the registry, and need not build."""
    with (_folder() / f"building-{image}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _folder() -> Path:
    folder = cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _bound(store: Path) -> None:
    if store.exists():
        size = subprocess.check_output(["du", "--summarize", "--block-size=1", str(store)])
        if int(size.split()[0]) > LIMIT:
            shutil.rmtree(store)


def _locked(lock: "IO[str]", how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
