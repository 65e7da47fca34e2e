"""Opens MLflow runs and sees to it that each ends with the truth: FINISHED, FAILED or KILLED."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import mlflow
from mlflow import ActiveRun, MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

import folders
from unusable import Unusable

TERMINATED = 128 + signal.SIGTERM
INTERRUPTED = 128 + signal.SIGINT

CHANGING_SECONDS = 10
"""How long a run that is just being made or ended may take; a Spot machine leaves about 25."""

_open: list[str] = []
"""Runs that are not over, the outermost first."""

_changing = threading.Lock()
"""Held from before a run is made or ended until `_open` tells so. Who ends all keeps it."""


class Stopped(Exception):
    """The work was given up because of something else; the message says of what."""


@dataclass
class Child:
    """What a run will tell once it ends."""

    params: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def main(work: Callable[[], None]) -> None:
    """Run an entry point; what the user can mend is said in one line, the rest as a traceback."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # The summary at the end says it once, in our words.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    _end_runs_on_sigterm()
    try:
        work()
    except Unusable as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


@contextmanager
def run(name: str, params: Mapping[str, Any], run_id: str | None = None) -> Iterator[ActiveRun]:
    """Open the run that the work belongs to: `run_id`, else the launcher's, else a new one.

    A launcher's run that is not the one opened shares its end.
    """
    launcher = os.environ.get("MLFLOW_RUN_ID")
    fresh = run_id is None and launcher is None
    client = MlflowClient()
    with _changing:
        active = mlflow.start_run(run_id=run_id, run_name=name if fresh else None)
        shared = launcher if launcher != active.info.run_id else None
        _open.extend(filter(None, (shared, active.info.run_id)))
    with ExitStack() as stack:
        if shared:
            client.set_tag(shared, "continues", active.info.run_id)
            stack.enter_context(_ending(shared, _terminate(client, shared)))
        stack.enter_context(_ending(active.info.run_id, mlflow.end_run))
        for tag in {"stopped", "failure"} & set(active.data.tags):
            client.delete_tag(active.info.run_id, tag)
        # More than one tells that the run was interrupted and went on.
        mlflow.set_tag("starts", int(active.data.tags.get("starts", 0)) + 1)
        known = active.data.params
        mlflow.log_params({key: value for key, value in params.items() if key not in known})
        yield active


@contextmanager
def child(parent: ActiveRun, number: int, params: Mapping[str, Any]) -> Iterator[Child]:
    """Open a run under `parent`; what it is given to tell goes out at its end.

    Three requests in all, so that a search of thousands of trials does not drown the server.
    """
    client = MlflowClient()
    with _changing:
        opened = client.create_run(
            parent.info.experiment_id,
            run_name=f"trial-{number}",
            tags={MLFLOW_PARENT_RUN_ID: parent.info.run_id, "trial": str(number)},
        )
        run_id = opened.info.run_id
        _open.append(run_id)
    told = Child(dict(params))
    with _ending(run_id, _terminate(client, run_id)):
        yield told
        now = time.time_ns() // 1_000_000
        client.log_batch(
            run_id,
            metrics=[Metric(key, value, now, number) for key, value in told.metrics.items()],
            params=[Param(key, repr(value)) for key, value in told.params.items()],
            tags=[RunTag(key, value) for key, value in told.tags.items()],
        )


def finished_children(parent: ActiveRun) -> list[Run]:
    """List the trials that an interrupted search left finished, in their order.

    One that still claims to run lost its process without a signal; it is marked KILLED.
    """
    client = MlflowClient()
    runs: list[Run] = mlflow.search_runs(
        [parent.info.experiment_id],
        f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.info.run_id}'",
        output_format="list",
    )
    for run in runs:
        if run.info.status == "RUNNING":
            client.set_tag(run.info.run_id, "stopped", "its process is gone")
            client.set_terminated(run.info.run_id, "KILLED")
    finished = [run for run in runs if run.info.status == "FINISHED"]
    return sorted(finished, key=lambda run: int(run.data.tags["trial"]))


def url(active: ActiveRun) -> str:
    """Tell where a person finds the run."""
    uri = mlflow.get_tracking_uri()
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return f"{active.info.run_id}, to be seen with: mlflow ui --backend-store-uri {uri}"
    # Without the user and password that such an address may carry.
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    return f"{address}/#/experiments/{active.info.experiment_id}/runs/{active.info.run_id}"


def _terminate(client: MlflowClient, run_id: str) -> Callable[[str], None]:
    return lambda status: client.set_terminated(run_id, status)


@contextmanager
def _ending(run_id: str, end: Callable[[str], None]) -> Iterator[None]:
    def ended(status: str, **tags: str) -> None:
        with _changing:
            try:
                for key, value in tags.items():
                    MlflowClient().set_tag(run_id, key, value)
                end(status)
            finally:
                _open.remove(run_id)

    try:
        yield
    except (KeyboardInterrupt, Stopped) as stop:
        ended("KILLED", stopped=str(stop) or "Ctrl-C")
        raise
    except BaseException as error:
        ended("FAILED", failure=f"{type(error).__name__}: {error}"[:1000])
        raise
    else:
        ended("FINISHED")


def _end_runs_on_sigterm() -> None:
    """Mark the open runs KILLED as soon as the machine is taken back, and end.

    Python runs a signal's handler between two steps of the main thread, and one fit is one step
    that may outlast the seconds a Spot machine leaves. A thread on the wake-up descriptor need
    not wait for it.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGTERM, lambda *_: None)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()


def _watch(reader: int) -> None:
    while os.read(reader, 1)[0] != signal.SIGTERM:
        pass
    client = MlflowClient()
    _changing.acquire(timeout=CHANGING_SECONDS)
    try:
        for run_id in reversed(_open):
            client.set_tag(
                run_id, "stopped", "SIGTERM: the machine was taken back or the job was cancelled"
            )
            client.set_terminated(run_id, "KILLED")
    finally:
        folders.remove()
        print(
            "\nstopped    by SIGTERM; a search goes on from here when it is started again",
            flush=True,
        )
        os._exit(TERMINATED)
