"""A run that is a Job: watched, cancelled, and given the end that its Job had."""

import getpass
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus
from mlflow.exceptions import ExecutionException, MlflowException
from mlflow.projects.submitted_run import SubmittedRun

from . import reasons
from .cluster import Cluster, Unreachable
from .logs import Log
from .problem import Problem
from .reasons import View

POLL_SECONDS = 1.0
REMIND_SECONDS = 30
ENDING_SECONDS = 40
"""Kubernetes gives a pod that has to end half a minute."""

ENDS = {"Complete": "FINISHED", "Failed": "FAILED", "Deleted": "KILLED"}


class LeftRunning(ExecutionException):
    """Nobody watches any more; how the run ends is not known."""

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"left running. To watch it: mlflow-platform logs {run_id}; "
            f"to end it: mlflow-platform cancel {run_id}"
        )


class SubmittedJob(SubmittedRun):
    """What MLflow is given for a run that was submitted."""

    def __init__(self, cluster: Cluster, runs: MlflowClient, run_id: str) -> None:
        super().__init__()
        self._cluster, self._runs, self._run_id = cluster, runs, run_id
        self._lost: set[str] = set()

    @property
    def run_id(self) -> str:
        """MLflow's name of the run."""
        return self._run_id

    @property
    def run(self) -> Run:
        """What MLflow knows of it."""
        with _answering():
            return self._runs.get_run(self.run_id)

    @property
    def namespace(self) -> str:
        """Where its Job is."""
        return self._cluster.namespace

    def wait(self) -> bool:
        """Watch until the Job ends; Ctrl-C asks what to do."""
        while True:
            try:
                return self.follow()
            except KeyboardInterrupt:
                if _asked_what_to_do(self.run_id) == "cancel":
                    self.cancel()
                    return False

    def follow(self) -> bool:
        """Print the log, and why there is none yet, until the Job ends; whether it succeeded."""
        log = Log(self._cluster)
        told, when = "", time.monotonic()
        while not (view := self._view()).ended:
            self._note_losses(view)
            pod = view.pod if view.running else None
            word = "running" if pod else "waiting"
            now = f"on {pod['spec']['nodeName']}" if pod else reasons.waiting(view)
            overdue = not pod and time.monotonic() - when > REMIND_SECONDS
            if now != told or overdue:
                say(word, now)
                told, when = now, time.monotonic()
            if pod:
                log.show(pod["metadata"]["name"])
            time.sleep(POLL_SECONDS)
        if view.pod:
            log.show(view.pod["metadata"]["name"])
        self._note_losses(view)
        status, why = self._end(self._gone() if view.ended == "Deleted" else view)
        say(status.lower(), f"run {self.run_id}" + (f": {why}" if why else ""))
        return status == "FINISHED"

    def settle(self) -> View:
        """Look once; a Job that has ended by itself ends its run."""
        view = self._cluster.view(self.run_id)
        self._note_losses(view)
        if view.job and view.ended in ("Complete", "Failed"):
            self._end(view)
        return view

    def cancel(self) -> None:
        """Delete the Job, wait for its pods to end, and end the run."""
        view = self._cluster.view(self.run_id)
        if view.job:
            self._cluster.delete(view.job["metadata"]["name"])
        status, why = self._end(self._gone(), f"cancelled by {getpass.getuser()}")
        say(status.lower(), f"run {self.run_id}: {why}")

    def get_status(self) -> str:
        """One of MLflow's words for it."""
        view = self._cluster.view(self.run_id)
        if view.ended:
            return ENDS[view.ended]
        return str(RunStatus.to_string(RunStatus.RUNNING if view.running else RunStatus.SCHEDULED))

    def _view(self) -> View:
        """Look, as long as it takes: who only watches must not give up what goes on."""
        told = ""
        while True:
            try:
                return self._cluster.view(self.run_id)
            except Unreachable as problem:
                if str(problem) != told:
                    say("waiting", str(problem))
                    told = str(problem)
                time.sleep(POLL_SECONDS)

    def _gone(self) -> View:
        """Give the pods of a deleted Job the time that Kubernetes gives them."""
        deadline = time.monotonic() + ENDING_SECONDS
        while (view := self._view()).pods and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return View(None, view.pods)

    def _note_losses(self, view: View) -> None:
        """Keep with the run what took a pod away: its log and its events do not stay."""
        for pod in view.pods:
            uid, why = pod["metadata"]["uid"], reasons.lost(pod)
            if why and uid not in self._lost:
                self._lost.add(uid)
                with _answering():
                    self._runs.set_tag(self.run_id, "interrupted", why)
                say("lost", f"{why}. Kubernetes starts it again")

    def _end(self, view: View, why: str = "its Job was deleted") -> tuple[str, str]:
        """Give the run the end that its Job had, and say why, unless its program has ended it."""
        ended = str(view.ended)
        status, tag = ENDS[ended], {"Failed": "failure", "Deleted": "stopped"}.get(ended)
        if ended == "Failed":
            why = reasons.failed(view)
        if not RunStatus.is_terminated(RunStatus.from_string(self.run.info.status)):
            with _answering():
                if tag:
                    self._runs.set_tag(self.run_id, tag, why[:1000])
                self._runs.set_terminated(self.run_id, status)
        return status, why if tag else ""


@contextmanager
def _answering() -> Iterator[None]:
    """What is wrong between here and the tracking server is mended here, and said in one line."""
    try:
        yield
    except MlflowException as error:
        raise Problem(
            f"the tracking server says: {error}. If the tunnel is closed, type "
            "mlflow-platform connect STACK, and then mlflow-platform status RUN_ID"
        ) from error


def say(word: str, text: str) -> None:
    """Print one line for a person."""
    print(f"{word:<10} {text}", flush=True)


def _asked_what_to_do(run_id: str) -> str:
    """Ask after Ctrl-C; who does not answer leaves the run alone."""
    if not sys.stdin.isatty():
        raise LeftRunning(run_id) from None
    print()
    try:
        answer = input("The Job goes on. [l]eave it running, [c]ancel it, [k]eep watching? ")
    except (EOFError, KeyboardInterrupt):
        raise LeftRunning(run_id) from None
    if answer.strip().lower() in ("c", "cancel"):
        return "cancel"
    if answer.strip().lower() in ("k", "keep"):
        return "keep"
    raise LeftRunning(run_id) from None
