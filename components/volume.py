"""A volume that outlives the pods that use it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi import Input, Output, ResourceOptions

from server.pod import Document


@dataclass(frozen=True, kw_only=True)
class VolumeArgs:
    """Wiring of a volume."""

    namespace: Input[str]
    labels: Mapping[str, str]
    gib: int
    storage_class: str | None
    """By default, the cluster's default one."""
    protect: bool
    """Whether it refuses to be deleted."""


class Volume(pulumi.ComponentResource):
    """A claim of its own, not one that a StatefulSet makes: those stay behind without a word.

    Here a `destroy` deletes it, or refuses to, and a preview says if it would be replaced.
    """

    claim: Output[str]
    """Name of the claim, for pods to mount."""

    def __init__(self, name: str, args: VolumeArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:kubernetes:Volume", name, None, opts)

        spec: Document = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{args.gib}Gi"}},
        }
        if args.storage_class is not None:
            spec["storageClassName"] = args.storage_class
        claim = k8s.core.v1.PersistentVolumeClaim(
            name,
            metadata={
                "namespace": args.namespace,
                "labels": args.labels,
                # Many classes make the volume only where its first pod is, which comes later.
                "annotations": {"pulumi.com/skipAwait": "true"},
            },
            spec=spec,
            opts=ResourceOptions(parent=self, protect=args.protect),
        )

        self.claim = claim.metadata.name
        self.register_outputs({})
