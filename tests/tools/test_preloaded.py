"""A Python that has imported much already does what Python does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import preloaded
from tests.processes import ended_with_the_test

SCRIPT = """\
import atexit, os, sys, threading, time
atexit.register(print, "at exit", flush=True)
threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
print(__name__, __file__, sys.argv, sys.path[0], os.getcwd(), os.environ["TOLD"])
print("to stderr", file=sys.stderr)
"""

PROGRAMS = {
    "what -c is given": ["-c", "import sys; print(__name__, sys.argv, sys.path[0] == '')", "one"],
    "a module": ["-u", "-m", "beside", "--option"],
    "a script": ["-u", "script.py", "one", "two"],
    "a module on PYTHONPATH": ["-c", "import found; print(found.__name__)"],
    "an exit status": ["-u", "-c", "raise SystemExit(3)"],
    "last words": ["-c", "raise SystemExit('last words')"],
    "an exit in the middle": ["-c", "import atexit, sys; atexit.register(print, 1); sys.exit()"],
    "another option": ["-W", "ignore", "-c", "import sys; print(sys.warnoptions)"],
    "its input": ["-c", "import sys; print(sys.stdin.read())"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "beside.py").write_text(SCRIPT)
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "found.py").touch()
    return tmp_path


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    told = {"TOLD": "this", "PYTHONPATH": str(folder / "path"), "PYTHONDONTWRITEBYTECODE": "1"}
    return os.environ | preloaded.environment() | told


@pytest.mark.parametrize("arguments", PROGRAMS.values(), ids=PROGRAMS)
def test_it_says_and_ends_with_what_python_does(arguments, folder, environment):
    plain, ours = (
        subprocess.run(
            [python, *arguments],
            cwd=folder,
            env=environment,
            input="from here",
            capture_output=True,
            text=True,
            check=False,
        )
        for python in (sys.executable, preloaded.CLIENT)
    )

    assert (ours.stdout, ours.stderr) == (plain.stdout, plain.stderr)
    assert ours.returncode == plain.returncode


def test_an_error_is_shown_and_is_status_1(folder, environment):
    command = [preloaded.CLIENT, "-c", "1 / 0"]
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_program(folder, environment, number):
    code = (
        f"import signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [{number}]);"
        f"print('ready', flush=True); sys.exit(100 + signal.sigwait([{number}]))"
    )
    with ended_with_the_test() as start:
        process = start([preloaded.CLIENT, "-c", code], cwd=folder, env=environment)
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)

        assert process.wait(timeout=60) == 100 + number


def test_the_program_ends_with_whoever_started_it(folder, environment):
    code = "import time; print('ready', flush=True); time.sleep(1000)"
    with ended_with_the_test() as start:
        process = start([preloaded.CLIENT, "-c", code], cwd=folder, env=environment)
        assert process.stdout.readline() == "ready\n"
        process.kill()
        process.wait()

        assert process.stdout.read() == "", "nobody has the pipe any more"
