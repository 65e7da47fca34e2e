"""One background process, without an engine."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from components.local.process import NotReady, NotStarted, Process
from components.local.record import Record, is_alive

from .eventually import eventually

SERVE = "import time; print('serving', flush=True); time.sleep(1000)"
"""A server that says when it is ready."""


@pytest.fixture
def process(tmp_path):
    process = Process("The clock", tmp_path / "clock")
    process.new_log()
    yield process
    process.stop(signal.SIGKILL)


def serving(process):
    if "serving" not in process.log.read_text():
        raise NotReady("still winding up")


def start(process, code=SERVE, within=60):
    process.start([sys.executable, "-c", code], {}, lambda: serving(process), within=within)


def pid(process):
    return json.loads(process.record.read_text())["pid"]


def test_it_outlives_the_one_who_started_it(process):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from tests.local.test_process import *;"
        "process = Process('The clock', Path(sys.argv[2])); start(process)"
    )
    subprocess.run([sys.executable, "-c", code, os.getcwd(), process.folder], check=True)

    assert process.running
    assert os.getsid(pid(process)) == pid(process)


def test_it_ends_when_the_one_who_starts_it_is_killed(process):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from tests.local.test_process import *;"
        "process = Process('The clock', Path(sys.argv[2]));"
        "start(process, code='import os, time; print(os.getpid(), flush=True); time.sleep(1000)')"
    )
    starter = subprocess.Popen([sys.executable, "-c", code, os.getcwd(), process.folder])
    eventually(lambda: process.log.read_text().strip())
    half_started = int(process.log.read_text())
    assert is_alive(half_started)

    starter.kill()
    starter.wait()

    eventually(lambda: not is_alive(half_started))
    assert not process.running


def test_one_that_dies_is_told_with_its_last_words(process):
    with pytest.raises(NotStarted) as told:
        start(process, code="import sys; sys.exit('the spring is broken')")

    assert "The clock ended while it started" in str(told.value)
    assert "the spring is broken" in str(told.value)
    assert str(process.log) in str(told.value)


def test_one_that_does_not_answer_in_time_is_stopped_and_told(process):
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(1000)"
    with pytest.raises(NotStarted, match="did not answer within 2 s(.|\n)*still winding up"):
        start(process, code=code, within=2)

    assert not is_alive(int(process.log.read_text()))


def test_any_other_error_stops_it_too(process):
    def broken():
        serving(process)
        raise ZeroDivisionError

    code = f"import os; print(os.getpid()); {SERVE}"
    with pytest.raises(ZeroDivisionError):
        process.start([sys.executable, "-c", code], {}, broken, within=60)

    assert not is_alive(int(process.log.read_text().split()[0]))


def test_stopping_ends_what_it_started_as_well(process):
    start(process, code=f"import os; os.fork(); {SERVE}")
    eventually(lambda: len(process.members()) == 2)
    members = process.members()

    process.stop()

    assert not any(is_alive(member.pid) for member in members)
    assert not process.running


def test_stopping_ends_what_a_killed_one_left_behind(process):
    start(process, code=f"import os; os.fork(); {SERVE}")
    eventually(lambda: len(process.members()) == 2)
    os.kill(pid(process), signal.SIGKILL)
    eventually(lambda: not is_alive(pid(process)))
    (left,) = process.members()

    process.stop()

    assert not is_alive(left.pid)


def test_one_that_will_not_end_is_killed(process):
    start(process, code=f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SERVE}")

    process.stop(within=1)

    assert not is_alive(pid(process))


def test_a_pid_that_belongs_to_another_process_by_now_is_left_alone(process):
    """As after a reboot."""
    start(process)
    record = Record.read(process.record)
    process.stop()
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    Record(pid=other.pid, command=record.command, program=record.program).write(process.record)

    assert not process.running
    process.stop()

    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_shell_that_somebody_opened_in_the_folder_is_left_alone(process):
    start(process)
    shell = subprocess.Popen(["sleep", "1000"], cwd=process.folder)

    process.stop()

    assert shell.poll() is None
    shell.kill()
    shell.wait()


def test_one_that_nobody_waited_for_counts_as_dead(process):
    child = subprocess.Popen([sys.executable, "-c", ""])
    eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)

    assert not is_alive(child.pid)
    child.wait()


def test_the_log_of_the_last_run_is_kept_and_the_one_before_is_not(process):
    for run in ("first", "second", "third"):
        process.new_log()
        process.log.write_text(run)

    assert {file.name: file.read_text() for file in process.folder.glob("log*")} == {
        "log": "third",
        "log.1": "second",
    }


def test_an_interrupted_record_does_not_hide_the_last_one(process, monkeypatch):
    start(process)
    monkeypatch.setattr(Path, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Record(pid=1, command=[], program=None).write(process.record)

    assert process.running
