"""Runs a daemon for Docker's client and a registry.

`python -m tests.cluster.images.serve FOLDER STORE REGISTRY`, inside an enclosure.
"""

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.enclosure import Enclosure
from tests.cluster.images import registry, store
from tests.cluster.images.podman import Podman
from tests.cluster.programs import Ended, Programs

POLL_SECONDS = 0.5

PODMAN_CACHE = Path("/var/lib/containers/cache")
"""Of the enclosure."""


def main(folder: Path, built: Path, address: str) -> None:
    """Serve until one of them ends."""
    (folder / "logs").mkdir()
    remember(built / "pushed")
    programs = Programs(folder / "logs")
    podman = Podman(folder, built)
    with store.shared(store.PUSHED) as pushed:
        programs.start("registry", registry.command(pushed, address, readonly=False))
        programs.start("podman", podman.command(), podman.environment(address))
        host, _, port = address.rpartition(":")
        programs.wait(answers(socket.AF_INET, (host, int(port))))
        programs.wait(answers(socket.AF_UNIX, str(podman.socket)))
        Enclosure(folder).ready.touch()
        while True:
            programs.check()
            time.sleep(POLL_SECONDS)


def remember(place: Path) -> None:
    """Keep what podman knows of registries: which layer, compressed, is which, and where it is."""
    place.mkdir(exist_ok=True)
    PODMAN_CACHE.parent.mkdir(parents=True)
    PODMAN_CACHE.symlink_to(place)


def answers(family: socket.AddressFamily, address: str | tuple[str, int]) -> Callable[[], bool]:
    """Whether somebody listens there."""

    def ask() -> bool:
        with socket.socket(family) as attempt:
            return attempt.connect_ex(address) == 0

    return ask


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    except Ended as problem:
        sys.exit(str(problem))
