"""Starts the stand-in cloud, and tells the engine where it is."""

import os
from concurrent import futures
from typing import Any, Self

import grpc
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import provider_pb2_grpc

from . import gcp, random
from .clock import Clock
from .faults import Fault
from .gcloud import BUILD_SECONDS, Gcloud
from .gcp.project import GoogleCloud
from .journal import Journal
from .kubernetes import Kubernetes
from .kubernetes.kinds import KINDS as KUBERNETES_KINDS
from .laptop import Laptop
from .program import BIN
from .thing import Thing
from .world import World


class StandInCloud:
    """Three providers and the commands that build images, over one world, as long as the `with`."""

    def __init__(self, speed: float = 400, patience: float = 20) -> None:
        self.world = World()
        self.clock, self.journal = Clock(speed, patience), Journal()
        self.faults: list[Fault] = []
        parts = (self.world, self.clock, self.journal, self.faults)
        self.providers = {
            "gcp": GoogleCloud(gcp.KINDS, *parts),
            "kubernetes": Kubernetes(KUBERNETES_KINDS, *parts),
            "random": random.Random(random.KINDS, *parts),
        }
        self.programs = (Gcloud(*parts), Laptop(*parts))
        self._servers: list[grpc.Server] = []

    def __enter__(self) -> Self:
        ports = {name: self._serve(provider) for name, provider in self.providers.items()}
        attached = ",".join(f"{name}:{port}" for name, port in ports.items())
        self.environment = {
            "PULUMI_DEBUG_PROVIDERS": attached,
            "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]),
        }
        for program in self.programs:
            self.environment |= program.start()
        return self

    def __exit__(self, *_: Any) -> None:
        for server in self._servers:
            server.stop(grace=None)
        for program in self.programs:
            program.stop()

    def fail(self, token: str, message: str, *, leaves_it: bool = False) -> None:
        """Let the next create of a type fail."""
        self.faults.append(Fault(token, message, leaves_it=leaves_it))

    def seconds(self, urn: str) -> float:
        """How long the real service takes to create a resource; nothing for what is only ours."""
        token = urn.split("::")[2].rsplit("$", 1)[-1]
        if token.startswith("pulumi-python:dynamic"):
            return BUILD_SECONDS
        provider = self.providers.get(token.split(":")[0])
        return provider.kind(token).seconds if provider else 0

    def one(self, token: str) -> Thing:
        """Return the only resource of a type."""
        (thing,) = self.world.of(token)
        return thing

    def _serve(self, provider: provider_pb2_grpc.ResourceProviderServicer) -> int:
        # As many threads as the engine may have operations in flight.
        server = grpc.server(futures.ThreadPoolExecutor(64), options=_GRPC_CHANNEL_OPTIONS)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self._servers.append(server)
        return int(port)
