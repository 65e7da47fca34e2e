"""The disk of containerd, which outlives a node that ends in order: the next one has its images."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.images import store
from tests.cluster.inside import mount_disk
from tests.cluster.node.layout import IMAGES

POLL_SECONDS = 0.1


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """Have one in a folder, for as long as the context lasts.

    It is the folder's alone, and goes with it, unless whoever used it came to the end.
    """
    disk = folder / "images"
    store.take(disk)
    mount_disk(disk, IMAGES)
    yield
    # Room that was let go is written to last, and would stay taken on this machine.
    subprocess.run(["fstrim", "--quiet-unsupported", str(IMAGES)], check=True)
    subprocess.run(["umount", str(IMAGES)], check=True)
    while _attached(disk):  # as long as the kernel knows of somebody who looks at it
        time.sleep(POLL_SECONDS)
    store.give_back(disk)


def _attached(disk: Path) -> bool:
    look = ["losetup", "--noheadings", "--associated", str(disk)]
    return bool(subprocess.run(look, stdout=subprocess.PIPE, check=True).stdout)
