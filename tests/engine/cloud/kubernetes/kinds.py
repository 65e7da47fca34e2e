"""Types of Kubernetes objects: most are only stored, a few run."""

import base64
from typing import Any

from ..kind import Kind
from ..thing import Thing
from ..wire import Inputs, at, secret
from ..world import Visit, World
from . import neighbours
from .pod import CLAIM, Pod
from .readiness import can_run

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"
JOB = "kubernetes:batch/v1:Job"
SERVICE = "kubernetes:core/v1:Service"
SECRET = "kubernetes:core/v1:Secret"  # noqa: S105
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
NAMESPACE = "kubernetes:core/v1:Namespace"

CLUSTER_WIDE = frozenset(
    {"Namespace", "ClusterRole", "ClusterRoleBinding", "PersistentVolume", "PriorityClass"}
    | {"StorageClass", "CustomResourceDefinition", "IngressClass", "RuntimeClass"}
)
IDENTITY = ("apiVersion", "kind", "metadata.name", "metadata.namespace")
SKIP_AWAIT = "pulumi.com/skipAwait"


def object_id(world: World, inputs: Inputs) -> str:
    """The provider's id: the name, after the namespace where the kind has one."""
    if inputs["kind"] in CLUSTER_WIDE:
        return str(inputs["metadata"]["name"])
    return f"{namespace(inputs)}/{inputs['metadata']['name']}"


def namespace(inputs: Inputs) -> str:
    """Where an object lives."""
    return str(inputs["metadata"].get("namespace") or "default")


def _metadata(inputs: Inputs) -> Inputs:
    return {
        **inputs["metadata"],
        **({} if inputs["kind"] in CLUSTER_WIDE else {"namespace": namespace(inputs)}),
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 1,
    }


def _object(world: World, inputs: Inputs) -> Inputs:
    return {"metadata": _metadata(inputs)}


def _deployment(world: World, inputs: Inputs) -> Inputs:
    replicas = inputs["spec"].get("replicas", 1)
    counts = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")
    return {**_object(world, inputs), "status": dict.fromkeys(counts, replicas)}


def _stateful_set(world: World, inputs: Inputs) -> Inputs:
    replicas = inputs["spec"].get("replicas", 1)
    counts = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas")
    return {**_object(world, inputs), "status": dict.fromkeys(counts, replicas)}


def _job(world: World, inputs: Inputs) -> Inputs:
    done = {"type": "Complete", "status": "True"}
    return {**_object(world, inputs), "status": {"succeeded": 1, "conditions": [done]}}


def _service(world: World, inputs: Inputs) -> Inputs:
    spec = inputs["spec"]
    return {
        **_object(world, inputs),
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.10", **spec},
        "status": {"loadBalancer": {}},
    }


def _secret(world: World, inputs: Inputs) -> Inputs:
    written = {
        key: base64.b64encode(value.encode()).decode()
        for key, value in (inputs.get("stringData") or {}).items()
    }
    data = {**(inputs.get("data") or {}), **written}
    return {**_object(world, inputs), "data": secret(data), "type": inputs.get("type", "Opaque")}


def _serves(visit: Visit) -> list[str]:
    """The provider waits until a Service has a ready pod behind it."""
    spec, labels = visit.inputs["spec"], "spec.template.metadata.labels"
    selector = spec.get("selector")
    if not selector or spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName":
        return []
    for workload in [*visit.world.of(DEPLOYMENT), *visit.world.of(STATEFUL_SET)]:
        same_place = namespace(workload.inputs) == namespace(visit.inputs)
        behind = selector.items() <= (at(workload.inputs, labels) or {}).items()
        if same_place and behind and workload.usable:
            visit.note(workload)
            return []
    return ["Service does not target any Pods. Selected Pods may not be ready"]


def _finished(world: World, job: Thing) -> None:
    world.migrated |= {i.id: job.urn for i in Pod(world, job.inputs).instances()}
    world.migrated |= dict.fromkeys(neighbours.migrated(world, job), job.urn)


def _kind(token: str, seconds: float, *replaced_by: str, **rest: Any) -> Kind:
    return Kind(
        token=token,
        id=object_id,
        seconds=seconds,
        replaced_by=frozenset({*IDENTITY, *replaced_by}),
        auto_name="metadata.name",
        **{"seconds_to_update": seconds, "seconds_to_delete": 5, "computed": _object, **rest},
    )


def stored(token: str) -> Kind:
    """Describe an object that the API server only keeps: one request, well under a second."""
    return _kind(token, 0.5)


KINDS = {
    kind.token: kind
    for kind in (
        _kind(NAMESPACE, 1, seconds_to_delete=15),  # emptied by its controller first
        _kind(SECRET, 0.5, "data", "stringData", "type", computed=_secret),
        _kind(CONFIG_MAP, 0.5, "data", "binaryData"),
        # The provider settles for about ten seconds before it looks at the endpoints.
        _kind(SERVICE, 10, "spec.clusterIP", computed=_service, ready=_serves),
        _kind(
            DEPLOYMENT,
            90,  # image pull, sidecar, and a server that needs 30 to 40 s to start
            "spec.selector",
            computed=_deployment,
            ready=can_run,
            seconds_to_delete=30,
        ),
        _kind(
            STATEFUL_SET,
            60,
            "spec.selector",
            "spec.serviceName",
            "spec.volumeClaimTemplates",
            computed=_stateful_set,
            ready=can_run,
            seconds_to_delete=30,
        ),
        _kind(
            CLAIM,
            1,
            "spec.accessModes",
            "spec.storageClassName",
            release=neighbours.release_claim,
        ),
        _kind(
            JOB,
            60,  # image pull and a migration of an empty database
            "spec.selector",
            "spec.template",
            computed=_job,
            ready=can_run,
            created=_finished,
        ),
    )
}
