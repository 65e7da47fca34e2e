"""The provider protocol in front of a real API server."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import grpc
from google.protobuf import empty_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from tests.engine.cloud import naming
from tests.engine.cloud.wire import UNKNOWN, Inputs, has_unknown, pack, unpack

from .api_server import ApiServer, RefusedByServerError, UnreachableError
from .live import MANAGER, checkpoint, covered, normalized, pruned
from .manifest import Manifest, Reference, annotation, says_true
from .replacement import difference
from .waiting import CancelledError, NotReadyError, Waiting, unfinished

PATCH_FORCE = "pulumi.com/patchForce"
PROPAGATION = "pulumi.com/deletionPropagationPolicy"
REPLACE_UNREADY = "pulumi.com/replaceUnready"


class ClusterProvider(provider_pb2_grpc.ResourceProviderServicer):
    """What `pulumi-resource-kubernetes` does, for the types and options that this program uses.

    Server-side apply, one field manager per object, no force: as the real one does by default.
    """

    def __init__(
        self,
        kubeconfig: str = "",
        *,
        always: bool = False,
        edit: Callable[[Manifest], Manifest] = lambda manifest: manifest,
        patience: float = 20,
    ) -> None:
        """Make one for one run of the engine after the other.

        `kubeconfig` is a path. It counts where the program gives none, as KUBECONFIG would, and
        with `always` instead of what the program gives. `edit` changes what the program wants
        before anybody sees it: it stands for what is different where the tests run.
        """
        self._own, self._always, self._edit = kubeconfig, always, edit
        self._patience = patience
        self._waiting = Waiting(patience)
        self._api: ApiServer | None = None
        self._namespace = "default"

    # The engine's business.

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi_kubernetes"))

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        self._waiting.cancel()
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """Another cluster replaces every object; by what way it is reached does not matter."""
        olds, news = unpack(request.old_inputs), unpack(request.news)
        changed = sorted(key for key in olds.keys() | news.keys() if olds.get(key) != news.get(key))
        told_apart = (
            ["clusterIdentifier"] if "clusterIdentifier" in news else ["context", "cluster"]
        )
        some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some if changed else none,
            diffs=changed,
            replaces=[key for key in changed if key in told_apart],
        )

    def Configure(self, request: Any, context: Any) -> Any:
        options = unpack(request.args)
        kubeconfig = self._own if self._always else options.get("kubeconfig", self._own)
        self._namespace = options.get("namespace", "default")
        self._waiting = Waiting(self._patience)
        self._api = None
        if kubeconfig != UNKNOWN:
            chosen = None if self._always else options.get("context")
            try:
                self._api = ApiServer.reached_by(kubeconfig, chosen)
            except Exception as refusal:
                context.abort(
                    grpc.StatusCode.UNKNOWN,
                    f"configured Kubernetes cluster is unreachable: {refusal}",
                )
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Invoke(self, request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{request.tok} is not stood in for")

    # One object's life.

    def Check(self, request: Any, context: Any) -> Any:
        """Fill in what the program leaves to us: the name, and the namespace."""
        seed = request.randomSeed or request.urn.encode()
        logical = request.urn.rsplit("::", 1)[-1]
        news = self._edit(unpack(request.news))
        inputs = naming.kubernetes_name(logical, seed, unpack(request.olds), news)
        with _told(context):
            if self._api and self._api.namespaced(inputs["apiVersion"], inputs["kind"]):
                named = {"namespace": self._namespace, **inputs["metadata"]}
                inputs = {**inputs, "metadata": named}
        return provider_pb2.CheckResponse(inputs=pack(inputs))

    def Diff(self, request: Any, context: Any) -> Any:
        old_inputs = normalized(unpack(request.old_inputs))
        news = normalized(unpack(request.news))
        # What was there when we last looked, so that a change by hand is put right.
        before = pruned(normalized(unpack(request.olds)), old_inputs) or old_inputs
        with _told(context):
            unready = news["kind"] == "Job" and says_true(news, REPLACE_UNREADY)
            return difference(
                before,
                news,
                request.ignoreChanges,
                unready=unready and self._is_unready(Reference.of(before)),
            )

    def Create(self, request: Any, context: Any) -> Any:
        inputs = unpack(request.properties)
        manager = f"pulumi-kubernetes-{secrets.token_hex(4)}"
        if request.preview:
            with _told(context):
                return provider_pb2.CreateResponse(properties=pack(self._promise(inputs, manager)))
        with _told(context, manager):
            live = self._apply(inputs, manager, request.timeout)
        state = pack(checkpoint(live, manager))
        return provider_pb2.CreateResponse(id=Reference.of(live).id, properties=state)

    def Read(self, request: Any, context: Any) -> Any:
        """Look what is there now; what is not ready is said, but stays in the state."""
        old, inputs = unpack(request.properties), unpack(request.inputs)
        where = _found_again(request, inputs or old)
        manager = old.get(MANAGER, "")
        with _told(context, manager, inputs):
            live = self._reached().read(where)
            if live is None:
                return provider_pb2.ReadResponse()
            verdict = self._waiting.is_ready(self._reached(), live)
            if not verdict.ready:
                raise unfinished(live, verdict)
        return provider_pb2.ReadResponse(
            id=request.id,
            inputs=pack(_seen(live, inputs)),
            properties=pack(checkpoint(live, manager)),
        )

    def Update(self, request: Any, context: Any) -> Any:
        inputs, old = unpack(request.news), unpack(request.olds)
        manager = old.get(MANAGER) or f"pulumi-kubernetes-{secrets.token_hex(4)}"
        if request.preview:
            with _told(context):
                return provider_pb2.UpdateResponse(properties=pack(self._promise(inputs, manager)))
        with _told(context, manager):
            live = self._apply(inputs, manager, request.timeout)
        return provider_pb2.UpdateResponse(properties=pack(checkpoint(live, manager)))

    def Delete(self, request: Any, context: Any) -> Any:
        old = unpack(request.properties)
        where = _found_again(request, old)
        propagation = (annotation(old, PROPAGATION) or "foreground").capitalize()
        with _told(context, old.get(MANAGER, "")):
            self._reached().delete(where, propagation)
            self._waiting.until_gone(self._reached(), where, old, request.timeout)
        return empty_pb2.Empty()

    def _reached(self) -> ApiServer:
        if self._api is None:
            raise CancelledError(
                "configured Kubernetes cluster is unreachable: it is not known yet"
            )
        return self._api

    def _apply(self, inputs: Inputs, manager: str, seconds: float) -> Manifest:
        force = says_true(inputs, PATCH_FORCE)
        applied = self._reached().apply(inputs, manager, force=force)
        return self._waiting.until_ready(self._reached(), applied, seconds)

    def _promise(self, inputs: Inputs, manager: str) -> Manifest:
        """What an `up` would make, asked of the server where that can be known already."""
        if self._api is None or has_unknown(inputs):
            return inputs
        try:
            promised = self._rehearse(inputs, manager)
        except RefusedByServerError as refusal:
            if refusal.missing_namespace or refusal.reason == "Forbidden":
                return inputs
            raise
        promised.pop("status", None)
        return checkpoint(promised, manager)

    def _rehearse(self, inputs: Inputs, manager: str) -> Manifest:
        api = self._reached()
        try:
            return api.apply(inputs, manager, dry_run=True, force=True)
        except RefusedByServerError as refusal:
            # It is to be replaced, which a rehearsal cannot show: see what a new one would be.
            if "field is immutable" not in str(refusal):
                raise
            other = f"{inputs['metadata']['name']}{secrets.token_hex(3)}"
            renamed = {**inputs, "metadata": {**inputs["metadata"], "name": other}}
            promised = api.apply(renamed, manager, dry_run=True, force=True)
            promised["metadata"]["name"] = inputs["metadata"]["name"]
            return promised

    def _is_unready(self, where: Reference) -> bool:
        live = self._api.read(where) if self._api else None
        return bool(live and self._api and not self._waiting.is_ready(self._api, live).ready)


def _found_again(request: Any, manifest: Inputs) -> Reference:
    namespace, _, name = request.id.rpartition("/")
    if "kind" in manifest:
        return Reference(manifest["apiVersion"], manifest["kind"], name, namespace or None)
    token = request.urn.split("::")[2].rsplit("$", 1)[-1]
    _, group, kind = token.split(":")
    return Reference(group.removeprefix("core/"), kind, name, namespace or None)


def _seen(live: Manifest, inputs: Inputs) -> Inputs:
    """What the program would have had to say for the object to be as it is."""
    if not inputs:  # it was made by somebody else, and is read for the first time
        plain = normalized({key: live[key] for key in live if key != "metadata"})
        named = {k: v for k, v in live["metadata"].items() if k in ("name", "namespace", "labels")}
        return covered({**plain, "metadata": named})
    seen: Inputs = pruned(live, normalized(inputs))
    return covered(seen)


@contextmanager
def _told(
    context: grpc.ServicerContext, manager: str = "", inputs: Inputs | None = None
) -> Iterator[None]:
    """Hand a refusal to the engine in the form that it prints."""
    try:
        yield
    except NotReadyError as failure:
        _partial_failure(context, failure, manager, inputs)
    except (RefusedByServerError, UnreachableError, CancelledError) as refusal:
        context.abort(grpc.StatusCode.UNKNOWN, str(refusal))


def _partial_failure(
    context: grpc.ServicerContext, failure: NotReadyError, manager: str, inputs: Inputs | None
) -> None:
    detail = provider_pb2.ErrorResourceInitFailed(
        id=Reference.of(failure.live).id,
        properties=pack(checkpoint(failure.live, manager)),
        reasons=[str(failure), *failure.reasons],
    )
    if inputs is not None:
        detail.inputs.CopyFrom(pack(_seen(failure.live, inputs)))
    message = (
        "the Kubernetes API server reported that the object failed to fully initialize or become"
        f" live: {failure}"
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message)
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, message)
