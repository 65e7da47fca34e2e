"""The Kubernetes API, as far as somebody in `access.people` may use it."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from .job import RUN, login_secret
from .problem import Problem
from .reasons import View
from .settings import Settings

ANSWER_SECONDS = 20


class Unreachable(Problem):
    """May be over in a moment; whoever only watches goes on."""


class Cluster:
    """One namespace of one cluster."""

    def __init__(self, settings: Settings) -> None:
        self.namespace = settings.namespace
        self._place = f"namespace {self.namespace}" + (
            f" of context {settings.context}" if settings.context else ""
        )
        try:
            api = config.new_client_from_config(settings.kubeconfig, settings.context)
        except config.ConfigException as error:
            raise Problem(
                f"context {settings.context or '(the current one)'} is not in your kubeconfig: "
                f"{error}. `mlflow-platform connect STACK` puts that of a cluster on Google Cloud "
                "there; others you get from whoever runs them"
            ) from error
        self._batch, self._core = client.BatchV1Api(api), client.CoreV1Api(api)

    def create(self, job: dict[str, Any], login: Mapping[str, str]) -> None:
        """Submit a Job, and the Secret with its login if it has one.

        The Secret comes second, because it names its owner, and Kubernetes takes it away with that.
        A pod that comes sooner waits for it.
        """
        with self._answering("create Jobs"):
            made: Any = self._batch.create_namespaced_job(
                self.namespace, client.V1Job.model_validate(job), _request_timeout=ANSWER_SECONDS
            )
        if not login:
            return
        secret = client.V1Secret.model_validate(login_secret(job, made.metadata.uid, login))
        try:
            with self._answering("create Secrets"):
                self._core.create_namespaced_secret(
                    self.namespace, secret, _request_timeout=ANSWER_SECONDS
                )
        except BaseException:
            self.delete(job["metadata"]["name"])
            raise

    def delete(self, name: str) -> None:
        """Delete a Job and its pods, which are told to end; not an error if there is none."""
        with self._answering("delete Jobs"):
            try:
                self._batch.delete_namespaced_job(
                    name,
                    self.namespace,
                    propagation_policy="Background",
                    _request_timeout=ANSWER_SECONDS,
                )
            except ApiException as error:
                if error.status != 404:
                    raise

    def view(self, run_id: str) -> View:
        """Look at what there is of a run."""
        chosen = {"label_selector": f"{RUN}={run_id}"}
        jobs = self._listed(self._batch.list_namespaced_job, **chosen)
        pods = self._listed(self._core.list_namespaced_pod, **chosen)
        pods.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        view = View(jobs[0] if jobs else None, pods)
        if view.ended or view.running:
            return view
        events: list[dict[str, Any]] = []
        for each in filter(None, (view.job, view.pod)):
            selected = f"involvedObject.uid={each['metadata']['uid']}"
            events += self._listed(self._core.list_namespaced_event, field_selector=selected)
        events.sort(key=_moment)
        return View(view.job, pods, events)

    def log(self, pod: str, since_seconds: int | None = None) -> list[str]:
        """Read what a pod has printed, with the time before each line."""
        with self._answering("read logs"):
            answer: Any = self._core.read_namespaced_pod_log(
                pod,
                self.namespace,
                timestamps=True,
                since_seconds=since_seconds,
                _preload_content=False,
                _request_timeout=ANSWER_SECONDS,
            )
            lines = str(answer.data.decode(errors="replace")).split("\n")
        return [line for line in lines if line]

    def _listed(self, call: Callable[..., Any], **chosen: str) -> list[dict[str, Any]]:
        # As JSON: the client's own objects have every field that there could be.
        with self._answering("see Jobs, pods and events"):
            answer = call(
                self.namespace,
                _preload_content=False,
                _request_timeout=ANSWER_SECONDS,
                **chosen,
            )
            return list(json.loads(answer.data)["items"])

    @contextmanager
    def _answering(self, what: str) -> Iterator[None]:
        try:
            yield
        except ApiException as error:
            raise self._refusal(error, what) from error
        except (HTTPError, OSError) as error:
            raise Unreachable(
                f"the cluster of {self._place} does not answer: {error}. Type: kubectl get pods, "
                "which has to work first"
            ) from error

    def _refusal(self, error: ApiException, what: str) -> Problem:
        said = _message(error)
        if error.status == 401:
            return Problem(
                f"{self._place} does not know you any more. Log in again; for Google Cloud, type: "
                "gcloud auth login"
            )
        if error.status == 403 and "exceeded quota" not in said:
            return Problem(
                f"you may not {what} in {self._place}: {said}. "
                "Ask whoever runs the stack to put you in access.people"
            )
        if error.status == 404 and "namespaces" in said:
            return Problem(
                f"there is no {self._place}. Type: mlflow-platform connect STACK, "
                "which writes the right one"
            )
        if (error.status or 500) >= 500 or error.status == 429:
            return Unreachable(f"the cluster of {self._place} is busy: {said}")
        return Problem(f"the cluster refuses to {what} in {self._place}: {said}")


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body or "")["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)


def _moment(event: dict[str, Any]) -> str:
    when = event.get("lastTimestamp") or event.get("eventTime")
    return str(when or event["metadata"]["creationTimestamp"])
