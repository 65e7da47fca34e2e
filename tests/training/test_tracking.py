"""How runs end when their machine is taken back in the worst moment."""

import signal
from pathlib import Path

import tracking

SLOW = """
import time
from mlflow import MlflowClient
import tracking

create = MlflowClient.create_run

def slow(*args, **named):
    made = create(*args, **named)
    print("made", flush=True)
    time.sleep(1)  # the answer's way back
    return made

def work():
    with tracking.run("hyperopt", {}) as run:
        MlflowClient.create_run = slow
        with tracking.child(run, 1, {}):
            time.sleep(60)

tracking.main(work)
"""


def test_a_run_that_was_just_being_made_is_killed_with_the_others(tmp_path, start, runs):
    (tmp_path / "slow.py").write_text(SLOW)
    process = start(tmp_path / "slow.py", PYTHONPATH=str(Path(tracking.__file__).parent))

    assert process.stdout.readline() == "made\n"
    process.send_signal(signal.SIGTERM)

    assert process.wait() == 143, process.stdout.read()
    assert [run.info.status for run in runs()] == ["KILLED", "KILLED"]


ENDING = """
import os, signal, time
from mlflow import MlflowClient
import tracking

end = MlflowClient.set_terminated

def taken_back(*args, **named):
    MlflowClient.set_terminated = end
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1)  # the request's way there
    end(*args, **named)

def work():
    with tracking.run("hyperopt", {}) as run:
        MlflowClient.set_terminated = taken_back
        with tracking.child(run, 1, {}):
            pass
        time.sleep(60)

tracking.main(work)
"""


def test_a_run_that_was_just_being_ended_is_no_longer_killed(tmp_path, start, runs):
    (tmp_path / "ending.py").write_text(ENDING)
    process = start(tmp_path / "ending.py", PYTHONPATH=str(Path(tracking.__file__).parent))

    assert process.wait() == 143, process.stdout.read()
    parent, child = runs()
    assert (parent.info.status, child.info.status) == ("KILLED", "FINISHED")
    assert "stopped" not in child.data.tags
