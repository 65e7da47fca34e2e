"""Whatever programs do in an enclosure, and however it ends, the machine is as it was."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from tests.cluster import requirements, traces
from tests.cluster.conftest import possible
from tests.cluster.enclosure import Enclosure, NotStarted, sweep
from tests.cluster.ending import ended, processes, until
from tools.project import ROOT

MESS = """
ip link add bridge type bridge
iptables --append FORWARD --jump DROP
mkdir /run/mounted && mount -t tmpfs tmpfs /run/mounted
mkdir /sys/fs/cgroup/memory/of-a-pod 2>/dev/null || mkdir /sys/fs/cgroup/of-a-pod
setsid sleep 600 &
trap '' TERM INT HUP
touch {folder}/ready
sleep 600
"""
"""Leaves what it can, in a session of its own, and does not end when it is asked to."""

OWNER = """
import sys, time
from pathlib import Path
from tests.cluster.enclosure import Enclosure
enclosure, script = Enclosure(Path(sys.argv[1])), sys.argv[2]
with enclosure.opened(["sh", "-ec", script], network=True, within=60):
    time.sleep(600)
"""


@pytest.fixture
def enclosure() -> Iterator[Enclosure]:
    """One that is not open, on a machine that can."""
    with possible(lambda: requirements.checked({"iptables": "iptables"})):
        enclosure = Enclosure.fresh("mess")
        yield enclosure
        if enclosure.running:
            enclosure.close()


@contextmanager
def owned(enclosure: Enclosure) -> Iterator["subprocess.Popen[bytes]"]:
    """The process of somebody who has it open, with a mess in it."""
    script = MESS.format(folder=enclosure.folder)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(enclosure.folder), script],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,  # Python's last words on Ctrl-C
    )
    try:
        until(enclosure.ready.exists)
        yield owner
    finally:
        owner.kill()
        owner.wait()


def asleep(enclosure: Enclosure) -> int:
    """How many of the mess do nothing but sleep."""
    names = []
    for each in processes(enclosure):
        with suppress(psutil.NoSuchProcess):  # it has ended since
            names.append(each.name())
    return names.count("sleep")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_its_owner_ends_nothing_is_left(enclosure, how):
    before = traces.found()
    with owned(enclosure) as owner:
        running = processes(enclosure)
        made = traces.left(before, enclosure)
        owner.send_signal(how)
        until(lambda: not enclosure.folder.exists())

    assert len(running) > 4
    assert set(made) == {"interfaces", "control groups", "disks", "folders"}
    until(lambda: ended(running))
    assert traces.left(before, enclosure) == {}


def test_a_killed_keeper_takes_all_with_it_and_the_next_one_clears_up(enclosure):
    before = traces.found()
    with owned(enclosure):
        running = processes(enclosure)
        os.kill(int((enclosure.folder / "keeper").read_text()), signal.SIGKILL)
        until(lambda: ended(running))
        assert set(traces.left(before, enclosure)) >= {"control groups", "folders"}

    sweep()

    assert traces.left(before, enclosure) == {}


def test_one_that_is_open_is_not_cleared_up(enclosure):
    with owned(enclosure):
        until(lambda: asleep(enclosure) == 2)  # by now it starts nothing any more
        running = processes(enclosure)

        sweep()

        assert enclosure.running
        assert processes(enclosure) == running


def test_a_command_that_fails_is_reported_with_what_it_printed(enclosure):
    before = traces.found()
    command = ["sh", "-c", "echo no such luck >&2; exit 3"]

    with (
        pytest.raises(NotStarted, match="no such luck"),
        enclosure.opened(command, network=False, within=60),
    ):
        pass

    assert enclosure.log.exists(), "the log is to be read afterwards"
    sweep()
    assert traces.left(before, enclosure) == {}
