"""How a Job is watched and its run ended: a cluster that shows one view after the other."""

from types import SimpleNamespace

import pytest
from mlflow.exceptions import ExecutionException

from mlflow_platform_client import submitted
from mlflow_platform_client.cluster import Unreachable
from mlflow_platform_client.reasons import View
from mlflow_platform_client.submitted import SubmittedJob

RUN_ID = f"{9:032x}"


def job(*conditions):
    listed = [{"type": each, "status": "True"} for each in conditions]
    return {"metadata": {"name": "flights-1"}, "status": {"conditions": listed}}


def pod(name, state, **status):
    statuses = [{"state": state}]
    return {
        "metadata": {"name": name, "uid": name},
        "spec": {"nodeName": "node-1", "containers": [{"name": "training"}]},
        "status": {"containerStatuses": statuses, "phase": "Running", **status},
    }


BUSY = Unreachable("the cluster is busy")
WAITING = View(job(), [pod("first", {"waiting": {"reason": "ContainerCreating"}})])
RUNNING = View(job(), [pod("first", {"running": {}})])
COMPLETE = View(job("Complete"), [pod("first", {"terminated": {"exitCode": 0}})])
FAILED = View(job("Failed"), [pod("first", {"terminated": {"exitCode": 3}})])
GONE = View(None)
TAKEN = pod(
    "first",
    {"terminated": {"exitCode": 143}},
    phase="Failed",
    conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}],
)


class Cluster:
    """Shows the next view whenever it is asked, and the last one for ever."""

    namespace = "mlflow-training"

    def __init__(self, *views):
        self.views, self.deleted, self.lines = list(views), [], ["1 took off", "2 landed"]

    def view(self, run_id):
        assert run_id == RUN_ID
        shown = self.views.pop(0) if len(self.views) > 1 else self.views[0]
        if isinstance(shown, Exception):
            raise shown
        return shown

    def delete(self, name):
        self.deleted.append(name)

    def log(self, pod, since):
        # A line more each time.
        return [self.lines.pop(0)] if self.lines else []


class Runs:
    """One run."""

    def __init__(self):
        self.status, self.tags = "RUNNING", {}

    def get_run(self, run_id):
        return SimpleNamespace(info=SimpleNamespace(status=self.status))

    def set_tag(self, run_id, key, value):
        self.tags[key] = value

    def set_terminated(self, run_id, status):
        self.status = status


@pytest.fixture
def runs():
    return Runs()


@pytest.fixture
def watch(runs, monkeypatch):
    """Have a Job that looks like this, one look after the other."""
    monkeypatch.setattr(submitted, "POLL_SECONDS", 0)
    return lambda *views: SubmittedJob(Cluster(*views), runs, RUN_ID)


def test_a_cluster_that_does_not_answer_for_a_while_is_watched_on(watch, runs, capsys):
    assert watch(RUNNING, BUSY, BUSY, COMPLETE).follow()

    assert runs.status == "FINISHED"
    assert capsys.readouterr().out.count("the cluster is busy") == 1


def test_the_log_is_shown_to_its_last_line(watch, capsys):
    watch(RUNNING, COMPLETE).follow()

    assert "took off\nlanded\n" in capsys.readouterr().out


def test_what_a_job_waits_for_is_told_once_and_again_when_it_takes_long(watch, monkeypatch, capsys):
    watch(WAITING, WAITING, WAITING, COMPLETE).follow()
    assert capsys.readouterr().out.count("waiting ") == 1

    monkeypatch.setattr(submitted, "REMIND_SECONDS", -1)
    watch(WAITING, WAITING, WAITING, COMPLETE).follow()
    assert capsys.readouterr().out.count("waiting ") == 3


def test_a_pod_that_is_taken_away_is_told_once_and_kept_with_the_run(watch, runs, capsys):
    again = [TAKEN, pod("second", {"running": {}})]
    ended = [TAKEN, pod("second", {"terminated": {"exitCode": 0}})]

    assert watch(View(job(), again), View(job(), again), View(job("Complete"), ended)).follow()
    assert "Spot" in runs.tags["interrupted"]
    assert capsys.readouterr().out.count("lost  ") == 1


def test_a_failure_is_kept_with_the_run(watch, runs):
    assert not watch(FAILED).follow()

    assert runs.status == "FAILED"
    assert "exit code 3" in runs.tags["failure"]


def test_the_end_that_its_program_gave_a_run_stays(watch, runs):
    runs.status = "FAILED"
    watch(COMPLETE).follow()

    assert (runs.status, runs.tags) == ("FAILED", {})


def test_who_looks_once_ends_the_run_of_a_job_that_has_ended_and_no_other(watch, runs):
    for view in (WAITING, RUNNING, GONE):
        watch(view).settle()
        assert runs.status == "RUNNING"

    watch(FAILED).settle()
    assert runs.status == "FAILED"


@pytest.mark.parametrize(
    ("view", "word"),
    [
        (WAITING, "SCHEDULED"),
        (RUNNING, "RUNNING"),
        (COMPLETE, "FINISHED"),
        (FAILED, "FAILED"),
        (GONE, "KILLED"),
    ],
)
def test_mlflow_is_told_in_its_own_words(watch, view, word):
    assert watch(view).get_status() == word


def test_cancelling_deletes_the_job_and_waits_for_its_pods(watch, runs):
    ending = View(None, RUNNING.pods)
    cancelled = watch(RUNNING, ending, ending, GONE)
    cancelled.cancel()

    assert cancelled._cluster.deleted == ["flights-1"]
    assert cancelled._cluster.views == [GONE], "its program may still end the run by itself"
    assert runs.status == "KILLED"
    assert "cancelled by" in runs.tags["stopped"]


@pytest.mark.parametrize("answer", ["l", "", "what?", EOFError, KeyboardInterrupt])
def test_any_answer_to_ctrl_c_but_cancel_and_keep_leaves_the_job(watch, runs, monkeypatch, answer):
    def interrupted(self):
        raise KeyboardInterrupt

    def answered(question):
        if isinstance(answer, str):
            return answer
        raise answer

    monkeypatch.setattr(SubmittedJob, "follow", interrupted)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", answered)
    left = watch(RUNNING)
    with pytest.raises(ExecutionException, match=f"mlflow-platform cancel {RUN_ID}"):
        left.wait()

    assert left._cluster.deleted == []
    assert runs.status == "RUNNING"
