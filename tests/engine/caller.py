"""Asks the stand-in's providers as the engine does, without an engine."""

from typing import Any

import grpc
from pulumi.runtime.proto import provider_pb2

from .cloud import StandInCloud
from .cloud.wire import pack, unpack


class Refused(Exception):
    """What the engine would be told."""


class Caller:
    """Talks to an otherwise empty project `p`."""

    def __init__(self) -> None:
        self.cloud = StandInCloud(speed=100_000, patience=0)
        self.cloud.world.project = "p"

    def enable(self, *apis: str) -> None:
        for api in apis:
            self.create("gcp:projects/service:Service", {"service": f"{api}.googleapis.com"})

    def check(self, token: str, inputs: dict[str, Any]) -> list[tuple[str, str]]:
        request = provider_pb2.CheckRequest(
            urn=urn(token, "x"), type=token, name="x", news=pack(inputs)
        )
        return [(f.property, f.reason) for f in self._of(token).Check(request, self).failures]

    def diff(self, token: str, old: dict[str, Any], new: dict[str, Any]) -> Any:
        request = provider_pb2.DiffRequest(type=token, old_inputs=pack(old), news=pack(new))
        return self._of(token).Diff(request, self)

    def create(self, token: str, inputs: dict[str, Any], name: str = "x") -> dict[str, Any]:
        request = provider_pb2.CreateRequest(
            urn=urn(token, name), type=token, name=name, properties=pack(inputs)
        )
        answer = self._of(token).Create(request, self)
        return {"id": answer.id, **unpack(answer.properties)}

    def delete(self, token: str, id: str) -> None:
        request = provider_pb2.DeleteRequest(urn=urn(token, "x"), type=token, id=id)
        self._of(token).Delete(request, self)

    def use_cluster(self, endpoint: str) -> None:
        """Point the Kubernetes provider at a cluster."""
        config = pack({"kubeconfig": f'{{"server": "https://{endpoint}"}}'})
        request = provider_pb2.ConfigureRequest(args=config)
        self.cloud.providers["kubernetes"].Configure(request, self)

    def use_context(self, context: str) -> None:
        """Point the Kubernetes provider at a cluster that the kubeconfig knows."""
        request = provider_pb2.ConfigureRequest(args=pack({"context": context}))
        self.cloud.providers["kubernetes"].Configure(request, self)

    # What a provider asks of the call's context.

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise Refused(details)

    def set_trailing_metadata(self, metadata: Any) -> None:
        """The engine reads what exists after a partial failure there."""

    def _of(self, token: str) -> Any:
        return self.cloud.providers[token.split(":")[0]]


def urn(token: str, name: str) -> str:
    return f"urn:pulumi:dev::p::{token}::{name}"
