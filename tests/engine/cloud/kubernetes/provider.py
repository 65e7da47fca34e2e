"""The Kubernetes provider: reaches one cluster, names and validates objects as it does."""

from collections.abc import Iterator
from typing import Any

from pulumi.runtime.proto import provider_pb2

from tests import kubernetes_schemas

from .. import naming, schema
from ..gcp import container
from ..kind import Kind
from ..provider import Provider
from ..refusal import RefusedError
from ..thing import Thing
from ..wire import UNKNOWN, Inputs, at, has_unknown, unpack
from ..world import Visit
from .kinds import NAMESPACE, SKIP_AWAIT, stored

REPLACE_UNREADY = "pulumi.com/replaceUnready"
BUILT_IN_NAMESPACES = {"default", "kube-system", "kube-public", "kube-node-lease"}


class Kubernetes(Provider):
    """Objects of one cluster of the stand-in cloud."""

    package = "pulumi_kubernetes"

    kubeconfig = context = ""

    def CheckConfig(self, request: Any, context: Any) -> Any:
        failures = (
            []
            if "kubeconfig" in request.news or "context" in request.news
            else [
                provider_pb2.CheckFailure(
                    property="kubeconfig",
                    reason="an object without our provider would go to whatever cluster the "
                    "laptop's own kubeconfig names",
                )
            ]
        )
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """Only another cluster replaces the provider, and every object with it."""
        olds, news = unpack(request.old_inputs), unpack(request.news)
        changed = [key for key in olds.keys() | news.keys() if olds.get(key) != news.get(key)]
        replaces = [key for key in changed if key == "clusterIdentifier"]
        if "clusterIdentifier" not in news:
            replaces = [key for key in changed if key == "kubeconfig"]
        some = provider_pb2.DiffResponse.DIFF_SOME
        none = provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some if changed else none, diffs=changed, replaces=replaces
        )

    def Diff(self, request: Any, context: Any) -> Any:
        answer = super().Diff(request, context)
        thing = self.world.things.get((request.type, request.id))
        annotations = at(unpack(request.news), "metadata.annotations") or {}
        if thing and not thing.usable and annotations.get(REPLACE_UNREADY) == "true":
            answer.changes = provider_pb2.DiffResponse.DIFF_SOME
            answer.replaces.append(f'metadata.annotations["{REPLACE_UNREADY}"]')
        return answer

    def Configure(self, request: Any, context: Any) -> Any:
        settings = unpack(request.args)
        self.kubeconfig = settings.get("kubeconfig", "")
        self.context = settings.get("context", "")
        return super().Configure(request, context)

    def kind(self, token: str) -> Kind:
        return self.kinds.get(token) or stored(token)

    def named(
        self, kind: Kind, request: provider_pb2.CheckRequest, olds: Inputs, news: Inputs
    ) -> Inputs:
        seed = request.randomSeed or request.urn.encode()
        return naming.kubernetes_name(request.name, seed, olds, news)

    def problems(self, token: str, inputs: Inputs) -> Iterator[schema.Problem]:
        if not _is_custom(token):
            yield from schema.problems(token, inputs)
        if has_unknown(inputs):
            return
        metadata = {"name": "generated", **(inputs.get("metadata") or {})}
        try:
            kubernetes_schemas.validate({**inputs, "metadata": metadata})
        except kubernetes_schemas.ValidationError as invalid:
            yield schema.Problem(".".join(map(str, invalid.path)), invalid.message)

    def reach(self, visit: Visit | None = None) -> None:
        """The configured cluster must be there, by its address or its DNS name."""
        if self.kubeconfig == UNKNOWN:
            return
        if self.context in self.world.contexts:
            if visit:
                self._namespace(visit)
            return
        for cluster in self.world.of(container.CLUSTER):
            endpoints = (
                at(cluster.outputs, "endpoint"),
                at(cluster.outputs, "controlPlaneEndpointsConfig.dnsEndpointConfig.endpoint"),
            )
            if cluster.usable and any(e and e in self.kubeconfig for e in endpoints):
                if visit:
                    visit.note(cluster)
                    self._namespace(visit)
                return
        raise RefusedError(
            "configured Kubernetes cluster is unreachable: unable to load schema information "
            "from the API server: dial tcp: i/o timeout"
        )

    def _namespace(self, visit: Visit) -> None:
        name = visit.inputs["metadata"].get("namespace")
        if name and name not in BUILT_IN_NAMESPACES:
            visit.need(NAMESPACE, name)

    def awaits(self, thing: Thing) -> bool:
        annotations = thing.inputs["metadata"].get("annotations") or {}
        return bool(annotations.get(SKIP_AWAIT) != "true")


def _is_custom(token: str) -> bool:
    """Whether the SDK has no class for it."""
    group = token.split(":")[1].partition("/")[0]
    return "." in group and not group.endswith(".k8s.io")
