"""Whether what was started has ended."""

import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from components.local.record import is_alive
from tests.cluster.enclosure import Enclosure


def until(fact: Callable[[], object]) -> None:
    """Wait until it holds; two minutes mean never."""
    deadline = time.monotonic() + 120
    while not fact():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def processes(enclosure: Enclosure) -> list[psutil.Process]:
    """All that runs for an enclosure, what its pods run and its keeper included."""
    keeper = int((enclosure.folder / "keeper").read_text())
    found = []
    for pid in enclosure.groups.processes() | {keeper}:
        with suppress(psutil.NoSuchProcess):  # it has ended since
            found.append(psutil.Process(pid))
    return found


def ended(processes: list[psutil.Process]) -> bool:
    """Whether all of them have; one that nobody waited for has ended all the same."""
    return not any(is_alive(p.pid) and p.is_running() for p in processes)
