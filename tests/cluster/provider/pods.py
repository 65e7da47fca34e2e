"""Why a pod does not run, in the words of the real provider."""

from collections.abc import Iterator
from typing import Any

from tests.engine.cloud.wire import at

from .manifest import Manifest, Reference, condition

UNSAID = " (the real provider leaves this out: `kubectl describe pod` says it)"

HOPELESS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}
    | {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
    | {"CrashLoopBackOff", "Unschedulable"}
)
"""Reasons that only a person can do away with, if they last."""


def complaints(pod: Manifest) -> Iterator[str]:
    """What keeps a pod from being ready; one step at a time, as the pod takes them."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "True":
        if message := scheduled.get("message"):
            yield f"[Pod {_name(pod)}]: [{scheduled['reason']}] {message}{UNSAID}"
        return
    for step in ("Initialized", "Ready"):
        reached = condition(pod, step)
        if not reached:
            return
        if reached["status"] == "True" or at(pod, "status.phase") == "Succeeded":
            continue
        # For whatever step: the real one has no eye for init containers, and so for sidecars.
        faults = "\n".join(_faults(_statuses(pod, "containerStatuses")))
        message = reached.get("message") or ""
        if faults or message:
            yield f"[Pod {_name(pod)}]: {message}{faults}"
        for fault in _faults(_statuses(pod, "initContainerStatuses")):
            yield f"[Pod {_name(pod)}]: {fault}{UNSAID}"
        return


def hopeless(pod: Manifest) -> bool:
    """Whether a pod waits for something that will not come by itself."""
    states = _statuses(pod, "containerStatuses") + _statuses(pod, "initContainerStatuses")
    reasons = {at(status, "state.waiting.reason") for status in states}
    return bool((reasons | {condition(pod, "PodScheduled").get("reason")}) & HOPELESS)


def _faults(statuses: list[dict[str, Any]]) -> Iterator[str]:
    for status in statuses:
        if status.get("ready"):
            continue
        waiting, ended = at(status, "state.waiting"), at(status, "state.terminated")
        if waiting and waiting["reason"] != "ContainerCreating":
            yield f"[{waiting['reason']}] {waiting.get('message', '')}"
        if ended and ended.get("message"):
            yield f"[{ended['reason']}] {ended['message']}"
        elif ended and ended["exitCode"]:
            yield f'container "{status["name"]}" completed with exit code {ended["exitCode"]}'
        if before := at(status, "lastState.terminated"):
            yield (
                f'container "{status["name"]}" terminated at {before["finishedAt"]}'
                f" ({before['reason']}: exit code {before['exitCode']})"
            )
            if before.get("message"):
                yield before["message"]


def _statuses(pod: Manifest, which: str) -> list[dict[str, Any]]:
    return list(at(pod, f"status.{which}") or [])


def _name(pod: Manifest) -> str:
    return Reference.of(pod).id
