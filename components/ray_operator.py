"""Lets a search for hyper-parameters outgrow one machine: what starts Ray clusters, and their net.

On GKE Google runs the operator (`cluster.rayOperator`). Elsewhere its chart is installed, and what
it may touch ends at the namespace of training.
"""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi import Input, ResourceOptions

from server.pod import Document

CHART_VERSION = "1.6.2"

OPERATOR: Document = {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}
PODS: Document = {"matchLabels": {"ray.io/is-ray-node": "yes"}}
HEAD: Document = {"matchLabels": {"ray.io/node-type": "head"}}

DASHBOARD: Document = {"protocol": "TCP", "port": 8265}
"""Where the operator submits a job and asks for its state; Ray wants a token there."""

CONTROL_PLANE: Document = {
    "ports": [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 6443}]
}
"""Of Kubernetes, whose address only the cluster knows: the head asks it for more workers."""


@dataclass(frozen=True, kw_only=True)
class RayOperatorArgs:
    """Wiring of Ray."""

    namespace: Input[str]
    """Where the Ray clusters of training are."""
    chart: bool
    """Whether the operator has to be installed."""


class RayOperator(pulumi.ComponentResource):
    """Opens to the pods of Ray what training's other pods may not, and installs the operator."""

    def __init__(self, name: str, args: RayOperatorArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:kubernetes:RayOperator", name, None, opts)
        child = ResourceOptions(parent=self)

        policies: dict[str, Document] = {
            # Ray's workers call each other at ports of their own choice.
            "pods": {
                "podSelector": PODS,
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [{"podSelector": PODS}]}],
                "egress": [{"to": [{"podSelector": PODS}]}],
            },
            "head": {
                "podSelector": HEAD,
                "policyTypes": ["Ingress", "Egress"],
                # Google's operator calls from where only Google knows.
                "ingress": [
                    {"from": [{"podSelector": OPERATOR}], "ports": [DASHBOARD]}
                    if args.chart
                    else {"ports": [DASHBOARD]}
                ],
                "egress": [CONTROL_PLANE],
            },
        }
        if args.chart:
            policies["operator"] = {
                "podSelector": OPERATOR,
                "policyTypes": ["Egress"],
                "egress": [
                    CONTROL_PLANE,
                    {"to": [{"podSelector": HEAD}], "ports": [DASHBOARD]},
                ],
            }
        opened = [
            k8s.networking.v1.NetworkPolicy(
                f"{name}-{what}", metadata={"namespace": args.namespace}, spec=spec, opts=child
            )
            for what, spec in policies.items()
        ]
        if args.chart:
            k8s.helm.v3.Release(
                name,
                chart="kuberay-operator",
                version=CHART_VERSION,
                repository_opts={"repo": "https://ray-project.github.io/kuberay-helm/"},
                namespace=args.namespace,
                # Roles in this namespace instead of the whole cluster; only the kinds of Ray's
                # objects belong to all.
                values={
                    "singleNamespaceInstall": True,
                    "image": {"tag": f"v{CHART_VERSION}"},
                },
                # Without a way to Kubernetes it would never become ready.
                opts=ResourceOptions(parent=self, depends_on=opened),
            )
        self.register_outputs({})
