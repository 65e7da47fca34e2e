"""What keeps a protected stack whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_random as random
from pulumi import Resource, ResourceOptions


@dataclass(frozen=True, kw_only=True)
class SealArgs:
    """What is sealed."""

    protect: bool
    everything: Sequence[Resource]
    """Every other component of the stack."""


class Seal(pulumi.ComponentResource):
    """The first thing that a destroy would delete, because it depends on all the others.

    Pulumi learns that a resource is protected when its turn comes, and the database's comes after
    the server's. While the seal is protected, a destroy ends before it has begun.
    """

    def __init__(self, name: str, args: SealArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:gcp:Seal", name, None, opts)
        random.RandomId(
            name,
            byte_length=1,
            opts=ResourceOptions(parent=self, protect=args.protect, depends_on=args.everything),
        )
        self.register_outputs({})
