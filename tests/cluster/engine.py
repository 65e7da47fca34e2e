"""Does with a provider what the Pulumi engine does with one object, without an engine."""

import secrets
from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import status_pb2
from pulumi.runtime import rpc
from pulumi.runtime.proto import provider_pb2

from tests.engine.cloud.wire import pack, unpack

from .provider import ClusterProvider
from .provider.manifest import Manifest


class Refused(Exception):
    """What the engine would print."""


class NotReady(Refused):
    """The object exists, and the engine would keep it; the message has every reason, one a line."""

    def __init__(self, kept: "Kept", reasons: list[str]) -> None:
        super().__init__("\n".join(reasons))
        self.kept = kept


@dataclass(frozen=True)
class Kept:
    """An object as the state holds it."""

    urn: str
    id: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class Engine:
    """Keeps no state itself: who made an object holds it."""

    def __init__(self, provider: ClusterProvider, kubeconfig: str) -> None:
        self._provider = provider
        config = pack({"kubeconfig": kubeconfig})
        provider.Configure(provider_pb2.ConfigureRequest(args=config), Call())

    def create(self, manifest: Manifest, *, timeout: float = 0) -> Kept:
        urn = f"urn:pulumi:test::small::kubernetes:{manifest['kind']}::thing"
        inputs = self._checked(urn, manifest)
        request = provider_pb2.CreateRequest(urn=urn, properties=pack(inputs), timeout=timeout)
        answer = self._asked("Create", request, urn, inputs)
        return Kept(urn, answer.id, inputs, plain(answer.properties))

    def diff(self, kept: Kept, manifest: Manifest) -> Any:
        request = provider_pb2.DiffRequest(
            id=kept.id,
            urn=kept.urn,
            olds=pack(kept.outputs),
            old_inputs=pack(kept.inputs),
            news=pack(self._checked(kept.urn, manifest, kept.inputs)),
        )
        return self._asked("Diff", request, kept.urn, {})

    def changes(self, kept: Kept, manifest: Manifest) -> bool:
        """Whether an `up` would do anything."""
        changes = self.diff(kept, manifest).changes
        return bool(changes != provider_pb2.DiffResponse.DIFF_NONE)

    def up(self, kept: Kept, manifest: Manifest) -> Kept:
        """Change the object, or put another one in its place."""
        diff = self.diff(kept, manifest)
        if not diff.replaces:
            return self._update(kept, self._checked(kept.urn, manifest, kept.inputs))
        if diff.deleteBeforeReplace:
            self.delete(kept)
            return self.create(manifest)
        made = self.create(manifest)
        self.delete(kept)
        return made

    def refresh(self, kept: Kept) -> Kept | None:
        request = provider_pb2.ReadRequest(
            id=kept.id, urn=kept.urn, properties=pack(kept.outputs), inputs=pack(kept.inputs)
        )
        answer = self._asked("Read", request, kept.urn, kept.inputs)
        if not answer.id:
            return None
        return Kept(kept.urn, answer.id, plain(answer.inputs), plain(answer.properties))

    def delete(self, kept: Kept) -> None:
        request = provider_pb2.DeleteRequest(
            id=kept.id, urn=kept.urn, properties=pack(kept.outputs), old_inputs=pack(kept.inputs)
        )
        self._asked("Delete", request, kept.urn, {})

    def _update(self, kept: Kept, inputs: dict[str, Any]) -> Kept:
        request = provider_pb2.UpdateRequest(
            id=kept.id,
            urn=kept.urn,
            olds=pack(kept.outputs),
            old_inputs=pack(kept.inputs),
            news=pack(inputs),
        )
        answer = self._asked("Update", request, kept.urn, inputs)
        return Kept(kept.urn, kept.id, inputs, plain(answer.properties))

    def _checked(
        self, urn: str, manifest: Manifest, olds: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        request = provider_pb2.CheckRequest(
            urn=urn, olds=pack(olds or {}), news=pack(manifest), randomSeed=secrets.token_bytes(8)
        )
        return unpack(self._asked("Check", request, urn, {}).inputs)

    def _asked(self, what: str, request: Any, urn: str, inputs: dict[str, Any]) -> Any:
        call = Call()
        try:
            return getattr(self._provider, what)(request, call)
        except Refused:
            if call.left_behind is None:
                raise
            left = call.left_behind
            kept = Kept(urn, left.id, inputs, plain(left.properties))
            raise NotReady(kept, list(left.reasons)) from None


class Call:
    """What a provider asks of the call's context."""

    left_behind: Any = None

    def set_trailing_metadata(self, metadata: Any) -> None:
        status = status_pb2.Status.FromString(dict(metadata)["grpc-status-details-bin"])
        self.left_behind = provider_pb2.ErrorResourceInitFailed()
        status.details[0].Unpack(self.left_behind)

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise Refused(details)


def plain(properties: Any) -> dict[str, Any]:
    """What a provider answers, as the engine would give it back: without the marks on secrets."""
    return {key: rpc.unwrap_rpc_secret(value) for key, value in unpack(properties).items()}
