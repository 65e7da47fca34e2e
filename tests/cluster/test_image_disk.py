"""What was unpacked on one node need not be on the next, which is as new in all other things."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster import requirements, traces
from tests.cluster.conftest import possible
from tests.cluster.enclosure import Enclosure, sweep
from tests.cluster.ending import ended, processes, until
from tests.cluster.images import store
from tools.project import PYTHON

CONTAINERD = """
import json, subprocess, sys, time
from pathlib import Path
from tests.cluster.enclosure import Enclosure
from tests.cluster.node import containerd, image_disk, images
from tests.cluster.node.layout import CONTAINERD
from tests.cluster.programs import Programs

enclosure = Enclosure(Path(sys.argv[1]))
with image_disk.mounted(enclosure.folder):
    programs = Programs(enclosure.folder)
    programs.start("containerd", containerd.command())
    programs.wait(CONTAINERD.exists)
    found = {kind: containerd.ctr(kind, "list", "--quiet") for kind in ("images", "containers")}
    (enclosure.folder / "found").write_text(json.dumps(found))
    containerd.load(images.busybox(enclosure.folder / "image.tar"))
    containerd.ctr("run", "--detach", "docker.io/library/busybox:latest", "some-container")
    if beside := sys.argv[2:]:
        subprocess.Popen(beside)
    enclosure.ready.touch()
    while enclosure.ready.exists():
        time.sleep(0.1)
    containerd.clear()
    programs.end("containerd")
"""
"""As on a node, without all that a node has besides, but for a program that one chooses."""


@pytest.fixture
def enclosure() -> Iterator[Enclosure]:
    """One that is not open, on a machine that can."""
    with possible(lambda: requirements.checked(requirements.NODE)):
        yield Enclosure.fresh("containerd")


@contextmanager
def opened(enclosure: Enclosure, *beside: str, grace: float = 60) -> Iterator[dict[str, list[str]]]:
    """What a containerd found when it was started; by now it has an image, and runs it."""
    command = [str(PYTHON), "-c", CONTAINERD, str(enclosure.folder), *beside]
    with enclosure.opened(command, network=False, within=60, grace=grace):
        yield json.loads((enclosure.folder / "found").read_text())


def test_the_next_one_finds_the_images_but_no_tags_and_no_containers(enclosure, disks):
    before = traces.found()
    with opened(enclosure) as first:
        assert first == {"images": [], "containers": []}
    assert traces.left(before, enclosure) == {}

    with opened(enclosure) as second:
        assert not list(disks.glob("disk-*")), "who has taken one has it alone"
        (image,) = second["images"]
        assert image.startswith("sha256:")
        assert second["containers"] == []


def test_one_that_is_killed_leaves_nothing_to_the_next(enclosure, disks):
    with opened(enclosure):
        pass
    assert list(disks.glob("disk-*"))

    before = traces.found()
    with opened(enclosure) as second:
        assert second["images"]
        running = processes(enclosure)
        os.kill(int((enclosure.folder / "keeper").read_text()), signal.SIGKILL)
        until(lambda: ended(running))
    sweep()

    assert traces.left(before, enclosure) == {}
    assert not list(disks.glob("disk-*"))
    with opened(enclosure) as third:
        assert third["images"] == []


def test_a_disk_that_somebody_still_looks_at_is_not_kept(enclosure, disks):
    with opened(enclosure, "unshare", "--mount", "sleep", "600", grace=5):
        pass

    assert not enclosure.folder.exists()
    assert not list(disks.glob("disk-*"))


@pytest.mark.parametrize(("limit", "kept"), [(4096, 0), (2**20, 1)])
def test_a_disk_is_kept_unless_it_has_grown_too_large(disks, monkeypatch, limit, kept):
    disk = disks / "in-use"
    disk.write_bytes(b"some" * 4096)
    monkeypatch.setattr(store, "LIMIT", limit)

    store.give_back(disk)

    assert len(list(disks.glob("disk-*"))) == kept
