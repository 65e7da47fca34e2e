"""When an object is as it should be, by the rules of the real provider."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.engine.cloud.wire import at

from .api_server import ApiServer
from .manifest import Manifest, annotation, condition
from .pods import complaints, hopeless

REVISION = "deployment.kubernetes.io/revision"
GIVES_UP = ("BackoffLimitExceeded", "DeadlineExceeded")
"""Why a Job fails, as far as the real provider notices; for any other reason it waits on."""


@dataclass(frozen=True)
class Verdict:
    """How far an object has come."""

    ready: bool
    messages: list[str] = field(default_factory=list)
    failed: bool = False
    """The real provider ends here."""
    hopeless: bool = False
    """The real provider waits on, for what will hardly come."""


Check = Callable[[ApiServer, Manifest], Verdict]
READY = Verdict(ready=True)


def deployment(api: ApiServer, live: Manifest) -> Verdict:
    """Every replica of the newest template is ready."""
    if at(live, "status.observedGeneration") != live["metadata"]["generation"]:
        return Verdict(ready=False)
    revision = annotation(live, REVISION)
    newest = next(
        (
            each
            for each in api.made_for(live, "apps/v1", "ReplicaSet")
            if annotation(each, REVISION) == revision
        ),
        None,
    )
    progressing, available = condition(live, "Progressing"), condition(live, "Available")
    rolled = revision == "1" or progressing.get("reason") == "NewReplicaSetAvailable"
    complete = newest is not None and _count(newest, "status.readyReplicas") >= at(
        newest, "spec.replicas"
    )
    if available.get("status") == "True" and rolled and complete:
        return READY
    messages = [
        f"[{each['reason']}] {each['message']}"
        for each in (progressing, available)
        if each and each["status"] != "True"
    ]
    if available.get("status") != "True":
        messages.append("Minimum number of live Pods was not attained")
    elif not rolled or revision == "1":
        messages.append("Minimum number of Pods to consider the application live was not attained")
    else:
        messages.append(
            "Attempted to roll forward to new ReplicaSet, but minimum number of Pods did not"
            " become live"
        )
    return _with_pods(messages, api.made_for(newest, "v1", "Pod") if newest else ())


def stateful_set(api: ApiServer, live: Manifest) -> Verdict:
    """Every replica is ready and of the newest template."""
    if at(live, "status.observedGeneration") != live["metadata"]["generation"]:
        return Verdict(ready=False)
    ready, wanted = _count(live, "status.readyReplicas"), at(live, "spec.replicas")
    current, newest = at(live, "status.currentRevision"), at(live, "status.updateRevision")
    if ready >= wanted and current == newest:
        return READY
    messages = []
    if ready < wanted:
        messages.append(f"{ready} out of {wanted} replicas succeeded readiness checks")
    if current != newest:
        messages.append(
            f"StatefulSet controller failed to advance from revision {current!r} to {newest!r}"
        )
    return _with_pods(messages, api.made_for(live, "v1", "Pod"))


def job(api: ApiServer, live: Manifest) -> Verdict:
    """It has ended well."""
    if condition(live, "Complete").get("status") == "True":
        return READY
    failed = condition(live, "Failed")
    failed = failed if failed.get("status") == "True" else {}
    noticed = failed.get("reason") in GIVES_UP
    messages = [f"[{failed['reason']}] {failed['message']}"] if noticed else []
    verdict = _with_pods(messages, api.made_for(live, "v1", "Pod"))
    return Verdict(
        ready=False,
        messages=verdict.messages,
        failed=noticed,
        hopeless=verdict.hopeless or bool(failed),
    )


def service(api: ApiServer, live: Manifest) -> Verdict:
    """Somebody is behind it, and a load balancer has an address."""
    spec = live["spec"]
    if spec.get("clusterIP") == "None" or spec["type"] == "ExternalName":
        return READY
    slices = api.listed(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        live["metadata"]["namespace"],
        label_selector=f"kubernetes.io/service-name={live['metadata']['name']}",
    )
    behind = [each for part in slices for each in part.get("endpoints") or []]
    messages = []
    if not any(at(each, "conditions.ready") for each in behind):
        messages.append(
            "Service does not target any Pods. Selected Pods may not be ready, or field"
            " '.spec.selector' may not match labels on any Pods"
        )
    if spec["type"] == "LoadBalancer" and not at(live, "status.loadBalancer.ingress"):
        messages.append(
            "Service was not allocated an IP address; does your cloud provider support this?"
        )
    return Verdict(ready=not messages, messages=messages)


def volume_claim(api: ApiServer, live: Manifest) -> Verdict:
    """It has a volume, or will get one with its first pod."""
    phase = at(live, "status.phase")
    classes = api.listed("storage.k8s.io/v1", "StorageClass", None)
    named = at(live, "spec.storageClassName")
    late = any(
        each["metadata"]["name"] == named
        and each.get("volumeBindingMode") == "WaitForFirstConsumer"
        for each in classes
    )
    if phase == "Bound" or (late and phase == "Pending"):
        return READY
    return Verdict(ready=False, messages=[f"the claim is {phase}"])


CHECKS: dict[tuple[str, str], Check] = {
    ("apps/v1", "Deployment"): deployment,
    ("apps/v1", "StatefulSet"): stateful_set,
    ("batch/v1", "Job"): job,
    ("v1", "Service"): service,
    ("v1", "PersistentVolumeClaim"): volume_claim,
}
"""Objects of all other types are ready when they exist."""


def _with_pods(messages: list[str], pods: Iterable[Manifest]) -> Verdict:
    mine = [pod for pod in pods if not at(pod, "metadata.deletionTimestamp")]
    said = [complaint for pod in mine for complaint in complaints(pod)]
    return Verdict(
        ready=False, messages=[*messages, *said], hopeless=any(hopeless(pod) for pod in mine)
    )


def _count(live: Manifest, path: str) -> int:
    return int(at(live, path) or 0)
