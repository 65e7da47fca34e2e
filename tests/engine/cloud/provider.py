"""The provider protocol over the stand-in cloud."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import grpc
from google.protobuf import empty_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from . import diff, naming, schema
from .control_plane import ControlPlane, updated, visible
from .kind import Kind
from .refusal import NotReadyError, RefusedError
from .wire import Inputs, pack, unpack


class Provider(ControlPlane, provider_pb2_grpc.ResourceProviderServicer):
    """What all packages have in common.

    Secrets stay with the engine, which marks outputs as secret by the name of their input.
    """

    package: str
    """The SDK that declares the types, whose version the engine expects of the provider."""

    def named(
        self, kind: Kind, request: provider_pb2.CheckRequest, olds: Inputs, news: Inputs
    ) -> Inputs:
        """Fill in a generated name where the program gives none."""
        if kind.auto_name is None:
            return news
        seed = request.randomSeed or request.urn.encode()
        return naming.google_name(kind.auto_name, request.name, seed, olds, news)

    def problems(self, token: str, inputs: Inputs) -> Iterator[schema.Problem]:
        """List what is wrong with the inputs whatever exists."""
        return schema.problems(token, inputs)

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=metadata.version(self.package))

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Invoke(self, request: Any, context: Any) -> Any:
        context.abort(
            grpc.StatusCode.UNKNOWN,
            f"the program asks the cloud ({request.tok}); plans must not depend on the day",
        )

    def Check(self, request: Any, context: Any) -> Any:
        olds, news = unpack(request.olds), unpack(request.news)
        with _told(context):
            kind = self.kind(request.type)
            failures = [
                provider_pb2.CheckFailure(
                    property=path, reason=f"{reason}. Examine values at '{request.name}.{path}'."
                )
                for path, reason in self.problems(request.type, news)
            ]
            inputs = self.named(kind, request, olds, news)
        return provider_pb2.CheckResponse(inputs=pack(inputs), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        with _told(context):
            kind = self.kind(request.type)
            return diff.respond(kind, unpack(request.old_inputs), unpack(request.news))

    def Create(self, request: Any, context: Any) -> Any:
        inputs = unpack(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=pack(visible(inputs)))
        with _told(context), self.journal.record("create", request.urn) as entry:
            thing = self.create(entry, inputs)
        return provider_pb2.CreateResponse(id=thing.id, properties=pack(thing.outputs))

    def Read(self, request: Any, context: Any) -> Any:
        with _told(context):
            self.reach()
            thing = self.world.things.get((request.type, request.id))
        if thing is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=thing.id, inputs=pack(thing.inputs), properties=pack(thing.outputs)
        )

    def Update(self, request: Any, context: Any) -> Any:
        inputs = unpack(request.news)
        if request.preview:
            promised = updated(unpack(request.olds), unpack(request.old_inputs), inputs)
            return provider_pb2.UpdateResponse(properties=pack(promised))
        with _told(context), self.journal.record("update", request.urn) as entry:
            thing = self.update(entry, request.id, inputs)
        return provider_pb2.UpdateResponse(properties=pack(thing.outputs))

    def Delete(self, request: Any, context: Any) -> Any:
        with _told(context), self.journal.record("delete", request.urn):
            self.delete(self.kind(request.type), request.id)
        return empty_pb2.Empty()


@contextmanager
def _told(context: grpc.ServicerContext) -> Iterator[None]:
    """Hand a refusal to the engine in the form it prints."""
    try:
        yield
    except NotReadyError as failure:
        _partial_failure(context, failure)
    except RefusedError as refusal:
        context.abort(grpc.StatusCode.UNKNOWN, str(refusal))


def _partial_failure(context: grpc.ServicerContext, failure: NotReadyError) -> None:
    detail = provider_pb2.ErrorResourceInitFailed(
        id=failure.id, properties=pack(failure.outputs), reasons=failure.reasons
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(failure))
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, str(failure))
