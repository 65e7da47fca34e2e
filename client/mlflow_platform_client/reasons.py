"""Why a Job is not running, or no longer: one plain sentence that names the cure.

Reads objects as the Kubernetes API gives them, and asks nobody.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .job import GPU

Object = Mapping[str, Any]


@dataclass(frozen=True)
class View:
    """All that Kubernetes shows of one run at one moment."""

    job: Object | None
    pods: Sequence[Object] = ()
    """The oldest first."""
    events: Sequence[Object] = ()
    """Of the Job and its newest pod, the oldest first."""

    @property
    def pod(self) -> Object | None:
        """The one that counts."""
        return self.pods[-1] if self.pods else None

    @property
    def ended(self) -> str | None:
        """`Complete`, `Failed` or `Deleted`; nothing while the Job goes on."""
        if self.job is None or "deletionTimestamp" in self.job["metadata"]:
            return "Deleted"
        for condition in self.job.get("status", {}).get("conditions", ()):
            if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
                return str(condition["type"])
        return None

    @property
    def running(self) -> bool:
        """Whether the project's own program is at work."""
        return self.pod is not None and "running" in _state(self.pod)

    def saying(self, *reasons: str) -> str:
        """What the newest event of one of these reasons says."""
        said = [each.get("message", "") for each in self.events if each["reason"] in reasons]
        return said[-1] if said else ""


def waiting(view: View) -> str:
    """Why no program of the project is at work yet."""
    pod = view.pod
    if pod is not None and "terminated" in _state(pod) and not lost(pod):
        return "its program has ended, and the Job is about to"
    if pod is None or pod.get("status", {}).get("phase") in ("Failed", "Succeeded"):
        refused = view.saying("FailedCreate")
        return _refused(refused) if refused else "Kubernetes is making its pod"
    unplaced = _condition(pod, "PodScheduled")
    if unplaced and unplaced["status"] == "False":
        return _unplaced(pod, unplaced.get("message", ""), view)
    state = _state(pod).get("waiting", {})
    reason, message = state.get("reason", ""), state.get("message", "")
    if reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"):
        return _image(pod, f"{reason} {message} {view.saying('Failed')}")
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        return _container(message)
    if view.saying("Pulling") and not view.saying("Pulled"):
        return "its image is being pulled, which takes minutes on a node that never had it"
    if "nodeName" in pod.get("spec", {}):
        return f"its container is being made on {pod['spec']['nodeName']}"
    return "Kubernetes is looking for a node"


def lost(pod: Object) -> str | None:
    """Say what took a pod away from its Job, if not the Job's own fault."""
    status = pod.get("status", {})
    message, reason = status.get("message", ""), status.get("reason", "")
    disruption = _condition(pod, "DisruptionTarget") or {}
    if "low on resource" in message:
        what = _matched(r"low on resource: ([\w-]+)", message) or "memory"
        return (
            f"evicted: its node ran low on {what}. Ask for what the Job really uses, under "
            f"resources.requests.{what}"
        )
    if reason in ("NodeShutdown", "Terminated"):
        return "pre-empted: its machine was shut down, as Spot machines are at any time"
    said = {
        "PreemptionByScheduler": "pre-empted: a pod of higher priority needed its place",
        "DeletionByTaintManager": "lost: its node stopped answering or was taken back",
        "DeletionByPodGC": "lost: its node is gone, as Spot machines go at any time",
        "EvictionByEvictionAPI": "evicted: its node is being emptied, for an upgrade or to save it",
        "TerminationByKubelet": f"evicted by its node: {message}",
    }
    if disruption.get("status") == "True":
        return said.get(disruption.get("reason", ""), f"lost: {disruption.get('message', '')}")
    return f"evicted: {message}" if reason == "Evicted" else None


def failed(view: View) -> str:
    """Why a Job has failed."""
    conditions = (view.job or {}).get("status", {}).get("conditions", [])
    ending: Object = next((each for each in conditions if each["type"] == "Failed"), {})
    if ending.get("reason") == "DeadlineExceeded":
        why = "" if view.pod and _state(view.pod) else f" It never ran: {waiting(view)}"
        return f"it took longer than deadline-seconds of the backend config.{why}"
    if view.pod is None:
        return str(ending.get("message", "it failed, and its pods are gone"))
    ended = _state(view.pod).get("terminated", {})
    if ended.get("reason") == "OOMKilled":
        limit = _container_of(view.pod).get("resources", {}).get("limits", {}).get("memory", "?")
        return (
            f"it needed more memory than its limit of {limit}. Raise resources.limits.memory in "
            "the backend config, or read fewer rows"
        )
    if "executable file not found" in ended.get("message", ""):
        return _container(ended["message"])
    if "exitCode" in ended and not lost(view.pod):
        return f"its command ended with exit code {ended['exitCode']}; the log says why"
    return lost(view.pod) or str(ending.get("message", "it failed"))


def _refused(message: str) -> str:
    """Kubernetes makes no pod."""
    exceeded = re.search(
        r"exceeded quota: (?P<name>[^,]+), requested: (?P<asked>[^ ]+), used: (?P<used>[^ ]+), "
        r"limited: (?P<limit>\S+)",
        message,
    )
    if exceeded:
        return (
            f"the namespace's quota {exceeded['name']} is used up: this Job asks for "
            f"{exceeded['asked']}, others have {exceeded['used']}, allowed is {exceeded['limit']}. "
            "Ask for less under resources in the backend config, wait for other Jobs to end, or "
            "ask whoever runs the cluster for more"
        )
    if wanted := _matched(r"failed quota: [^:]+: must specify (.+)", message):
        return (
            f"the namespace's quota wants every Job to say {wanted}. "
            "Add it under resources in the backend config"
        )
    if account := _matched(r'serviceaccount "([^"]+)" not found', message):
        return (
            f"there is no service account {account} in the namespace. "
            "Type: mlflow-platform connect STACK, which writes the right one"
        )
    if "violates PodSecurity" in message:
        return f"the namespace takes hardened pods only: {message.partition('violates ')[2]}"
    return f"Kubernetes makes no pod for it: {message}"


def _unplaced(pod: Object, message: str, view: View) -> str:
    """No node takes the pod."""
    adding = [
        each
        for each in view.events
        if each["reason"] in ("TriggeredScaleUp", "NotTriggerScaleUp", "FailedScaleUp")
    ]
    newest = adding[-1]["reason"] if adding else ""
    if newest == "TriggeredScaleUp":
        return "the cluster is adding a node for it, which takes some minutes"
    short = dict.fromkeys(re.findall(r"Insufficient ([\w./-]+\w)", message))
    lacking = [f"{_asked(pod, what)} free" for what in short]
    changes = []
    if GPU in short:
        changes.append('do without ("gpus": 0)')
    if set(short) - {GPU}:
        changes.append("ask for less under resources")
    if "node affinity/selector" in message:
        wanted = ", ".join(f"{k}={v}" for k, v in pod["spec"].get("nodeSelector", {}).items())
        lacking.append(f"the label {wanted}" if wanted else "what its affinity wants")
        changes.append("correct node-selector")
    if taint := _matched(r"untolerated taint(?:\(s\))? \{([^:}]+)", message):
        lacking.append(f"no taint like {taint}")
        changes.append("add it to tolerations")
    in_config = f" in the backend config {' and '.join(changes)}," if changes else ""
    cure = f"Wait,{in_config} or ask whoever runs the cluster for such nodes"
    if newest == "FailedScaleUp":
        said = view.saying(newest)
        why = "its quota is used up" if "quota" in said.lower() else "none is left just now"
        return f"Google Cloud gives the cluster no machine for it: {why} ({said}). {cure}"
    full = ""
    if newest == "NotTriggerScaleUp":
        why = view.saying(newest).partition("scale-up: ")[2]
        full = f", and the cluster may not add one ({why or 'no pool would do'})"
    because = " and ".join(lacking) or message.partition(". preemption")[0]
    return f"no node has {because}{full}. {cure}"


def _asked(pod: Object, what: str) -> str:
    resources = _container_of(pod).get("resources", {})
    amount = {**resources.get("limits", {}), **resources.get("requests", {})}.get(what, "enough")
    return f"{amount} {'GPU' if what == GPU else what}"


def _image(pod: Object, said: str) -> str:
    image = _container_of(pod).get("image")
    if "InvalidImageName" in said:
        return f"{image} is no name of an image. Correct image in the backend config"
    if "ErrImageNeverPull" in said:
        return f"image {image} is not on the node. Type: pulumi up, which loads it"
    # The registry's words come last; before them stand names, which may contain any of these.
    said = said.replace(str(image), "").lower()
    if re.search(r"not found|notfound|manifest unknown|name unknown", said):
        return f"image {image} does not exist. Correct image in the backend config"
    if re.search(r"unauthori[sz]ed|denied|forbidden|authori[sz]ation failed|\b40[13]\b", said):
        return (
            f"the cluster may not pull image {image}. Take the one that "
            "`mlflow-platform connect STACK` writes, or ask for a pull secret"
        )
    if re.search(r"no such host|dial tcp|timeout|connection refused|deadline exceeded", said):
        return f"the registry of image {image} does not answer. It is tried again and again"
    return f"image {image} cannot be pulled: {said.strip()}"


def _container(message: str) -> str:
    """There is a node and an image, and no container."""
    if missing := re.search(r'(secret|configmap) "([^"]+)" not found', message):
        return (
            f"there is no {missing[1].capitalize()} {missing[2]} in the namespace. Correct secrets "
            "in the backend config, or ask whoever runs the cluster to create it"
        )
    if "executable file not found" in message:
        program = _matched(r'exec: \\?"([^"\\]+)', message) or "python"
        return f"its image has no {program}. Take an image with Python in it"
    if "runAsNonRoot" in message:
        return "its image wants to run as root, which the namespace forbids. Take another image"
    return f"its container cannot be made: {message}"


def _container_of(pod: Object) -> Object:
    return dict(pod["spec"]["containers"][0])


def _state(pod: Object) -> Object:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return dict(statuses[0]["state"]) if statuses else {}


def _condition(pod: Object, kind: str) -> Object | None:
    conditions: Iterable[Object] = pod.get("status", {}).get("conditions", ())
    return next((each for each in conditions if each["type"] == kind), None)


def _matched(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None
