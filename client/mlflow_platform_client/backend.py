"""The project backend `platform`: `mlflow run FOLDER --backend platform` runs a Job."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from mlflow import MlflowClient
from mlflow.exceptions import ExecutionException, MlflowException
from mlflow.projects.backend.abstract_backend import AbstractBackend
from mlflow.projects.utils import (
    PROJECT_SYNCHRONOUS,
    _fetch_project,
    get_or_create_run,
    load_project,
)
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_BACKEND, MLFLOW_RUN_NAME

from . import entry_point, job, login, project, settings, store
from .cluster import Cluster
from .problem import Problem
from .submitted import SubmittedJob, say

NAME = "platform"
"""As `client/pyproject.toml` has it."""


class PlatformBackend(AbstractBackend):
    """What MLflow asks to run a project."""

    def run(
        self,
        project_uri: str,
        entry_point: str,
        params: Mapping[str, str] | None,
        version: str | None,
        backend_config: object,
        tracking_uri: str,
        experiment_id: str,
    ) -> SubmittedJob:
        """Submit an entry point; with `wait`, its end is this call's."""
        try:
            wanted = settings.read(backend_config)
            submitted = _submit(
                wanted, project_uri, entry_point, params or {}, version, tracking_uri, experiment_id
            )
            # A Python program that wants to wait says so to MLflow, which then calls `wait`.
            waits_later = isinstance(backend_config, Mapping) and backend_config.get(
                PROJECT_SYNCHRONOUS
            )
            if wanted.wait and not waits_later and not submitted.wait():
                raise ExecutionException(f"Run (ID '{submitted.run_id}') did not succeed")
        except Problem as problem:
            raise ExecutionException(str(problem)) from problem
        return submitted


def check_server(tracking_uri: str) -> dict[str, str]:
    """Refuse a store on this machine, to which no Job could log; the login that a server takes."""
    if not tracking_uri.startswith(("http://", "https://")):
        # No more than its scheme: a database's address holds a password.
        raise Problem(
            f"MLFLOW_TRACKING_URI is {tracking_uri.partition(':')[0]}:…, no server. "
            "Type the line that `mlflow-platform connect STACK` prints after `next`"
        )
    return login.accepted(tracking_uri)


def _submit(
    wanted: settings.Settings,
    uri: str,
    entry: str,
    params: Mapping[str, str],
    version: str | None,
    tracking_uri: str,
    experiment: str,
) -> SubmittedJob:
    """Refuse what cannot work, and only then create the run, the package and the Job."""
    its_login = check_server(tracking_uri)
    if ":" not in uri and not Path(uri.partition("#")[0]).exists():
        raise Problem(f"{uri} is no folder. Type: mlflow run FOLDER, or the URL of a repository")
    # What MLflow has in public would also judge the parameters, in other words than ours.
    folder = Path(_fetch_project(uri, version))
    command = entry_point.command(folder, entry, params)
    package = project.pack(folder)
    cluster = Cluster(wanted)

    with _allowed(experiment):
        run = get_or_create_run(None, uri, experiment, str(folder), version, entry, dict(params))
    run_id, runs = str(run.info.run_id), MlflowClient(tracking_uri)
    with _ending_with_the_submission(runs, run_id):
        _tag(runs, run_id, wanted, package)
        say("run", f"{_page(tracking_uri)}/#/experiments/{experiment}/runs/{run_id}")
        new = store.put(package, experiment, tracking_uri)
        size = f"{package.files} file(s), {len(package.content) / 1024:.1f} KiB"
        say("project", f"{size}, {'uploaded' if new else 'which the server has already'}")
        submitted: dict[str, Any] = job.manifest(
            wanted,
            project=load_project(str(folder)).name,
            run_id=run_id,
            experiment=experiment,
            digest=package.digest,
            command=command,
            login=bool(its_login),
        )
        cluster.create(submitted, its_login)
        say("job", f"{submitted['metadata']['name']} in namespace {wanted.namespace}")
    if not wanted.wait:
        say("next", f"mlflow-platform status {run_id}, or logs, or cancel")
    return SubmittedJob(cluster, runs, run_id)


@contextmanager
def _allowed(experiment: str) -> Iterator[None]:
    """Who may read an experiment need not be one who may add to it."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != "PERMISSION_DENIED":
            raise
        raise Problem(
            f"you may not start runs in experiment {experiment}. Ask who made it, or an "
            "administrator of the server, for EDIT on it, or name another --experiment-name"
        ) from error


def _page(tracking_uri: str) -> str:
    """Without the user and password that such an address may carry."""
    parts = urlsplit(tracking_uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def _tag(
    runs: MlflowClient, run_id: str, wanted: settings.Settings, package: project.Package
) -> None:
    tags = {
        # MLflow sets these two when the backend returns, which may be when the run is over.
        MLFLOW_PROJECT_BACKEND: NAME,
        MLFLOW_RUN_NAME: _run_name(),
        "project.sha256": package.digest,
        "image": wanted.image,
    }
    for key, value in tags.items():
        if value is not None:
            runs.set_tag(run_id, key, value)


def _run_name() -> str | None:
    """The option `--run-name` of `mlflow run`, of which MLflow does not tell a backend."""
    context = click.get_current_context(silent=True)
    return context.params.get("run_name") if context else None


@contextmanager
def _ending_with_the_submission(runs: MlflowClient, run_id: str) -> Iterator[None]:
    """A run without a Job is over, and says why."""
    try:
        yield
    except KeyboardInterrupt:
        runs.set_tag(run_id, "stopped", "Ctrl-C, before there was a Job")
        runs.set_terminated(run_id, "KILLED")
        raise
    except Exception as error:
        runs.set_tag(run_id, "failure", str(error)[:1000])
        runs.set_terminated(run_id, "FAILED")
        raise
