"""A Kubernetes namespace in which only hardened pods may run."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi import Output, ResourceOptions


@dataclass(frozen=True, kw_only=True)
class NamespaceArgs:
    """Wiring of a namespace."""

    name: str
    """Its real name: people type it, and Google's identity bindings contain it."""
    protect: bool = False
    """Whether it refuses to be deleted: it would take the volumes in it along."""


class Namespace(pulumi.ComponentResource):
    """A namespace whose pods must keep the restricted Pod Security Standard."""

    name: Output[str]

    def __init__(self, name: str, args: NamespaceArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:kubernetes:Namespace", name, None, opts)

        namespace = k8s.core.v1.Namespace(
            name,
            metadata={
                "name": args.name,
                "labels": {
                    "app.kubernetes.io/part-of": "mlflow-platform",
                    "app.kubernetes.io/managed-by": "pulumi",
                    "pod-security.kubernetes.io/enforce": "restricted",
                    # Jobs and Deployments are accepted and only their pods refused; the warning
                    # tells whoever applies one.
                    "pod-security.kubernetes.io/warn": "restricted",
                },
            },
            opts=ResourceOptions(parent=self, protect=args.protect),
        )

        self.name = namespace.metadata.name
        self.register_outputs({})
