"""Ctrl-C, and what a Pulumi that was killed leaves behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tools import child
from tools.backend import FolderBackend

SLOW_TO_STOP = """
import os, signal, sys, time
def tidy(*_):
    time.sleep(1)
    open(sys.argv[1], "w").write("tidied up")
    sys.exit(3)
signal.signal(signal.SIGINT, tidy)
os.kill(os.getppid(), signal.SIGINT)
os.kill(os.getpid(), signal.SIGINT)
"""


def test_after_ctrl_c_a_command_is_waited_for_until_it_has_tidied_up(tmp_path):
    note = tmp_path / "note"

    with pytest.raises(KeyboardInterrupt):
        child.run([sys.executable, "-c", SLOW_TO_STOP, str(note)])

    assert note.read_text() == "tidied up"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_still_ends_a_command_that_does_not_care_about_it():
    script = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('still here')"

    assert child.run([sys.executable, "-c", script], stderr=subprocess.DEVNULL) != 0


def lock(backend: FolderBackend, pid: int, host: str) -> Path:
    """A lock as the CLI writes it."""
    file = backend.folder / f"state/.pulumi/locks/organization/p/s/{pid}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"pid": pid, "username": "me", "hostname": host}))
    return file


def test_only_a_lock_whose_holder_is_gone_is_removed(tmp_path):
    backend = FolderBackend(tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = socket.gethostname()
    gone, ours = lock(backend, ended.pid, here), lock(backend, os.getpid(), here)
    elsewhere = lock(backend, ended.pid + 1_000_000, "another-machine")

    backend.unlock()

    assert [gone.exists(), ours.exists(), elsewhere.exists()] == [False, True, True]
