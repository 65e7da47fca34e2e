"""Who may talk to whom: in these namespaces nobody, except for what is named here.

Kubernetes always lets a node reach its own pods, so probes and `kubectl port-forward` need no rule.
A rule names the pods' port, not the Service's: it is looked at after the Service has been resolved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi import Input, ResourceOptions

from server.pod import Document

DNS: Document = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {
                "matchExpressions": [
                    {
                        "key": "k8s-app",
                        "operator": "In",
                        "values": ["kube-dns", "node-local-dns"],
                    }
                ]
            },
        },
        {"ipBlock": {"cidr": "169.254.20.10/32"}},  # the node's own DNS cache, where it has one
    ],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}
"""Names of Services and of the world."""

HTTPS: Document = {
    "to": [
        {
            "ipBlock": {
                "cidr": "0.0.0.0/0",
                # Google's APIs and package registries have public addresses, which change;
                # neighbours and the metadata server do not.
                "except": [
                    "10.0.0.0/8",
                    "100.64.0.0/10",
                    "169.254.0.0/16",
                    "172.16.0.0/12",
                    "192.168.0.0/16",
                ],
            }
        }
    ],
    "ports": [{"protocol": "TCP", "port": 443}],
}
"""Cloud Storage, the Cloud SQL API, package registries: public addresses only."""

METADATA: Document = {
    "to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}],
    # Both with Dataplane V2; the older data plane redirects to 169.254.169.252, ports 987 and 988.
    "ports": [{"protocol": "TCP", "port": 80}, {"protocol": "TCP", "port": 8080}],
}
"""GKE's metadata server, where a pod gets the token of its Google account."""


def cloud_sql(addresses: str) -> Document:
    """The port of Cloud SQL that the proxy connects to, in the range that instances are given."""
    return {
        "to": [{"ipBlock": {"cidr": addresses}}],
        "ports": [{"protocol": "TCP", "port": 3307}],
    }


def pods(namespace: Input[str], labels: Mapping[str, str], port: int) -> Document:
    """A port of certain pods in another namespace."""
    return {
        "to": [{**_namespace(namespace), "podSelector": {"matchLabels": dict(labels)}}],
        "ports": [{"protocol": "TCP", "port": port}],
    }


def beside(labels: Mapping[str, str], port: int) -> Document:
    """A port of certain pods in the same namespace."""
    return {
        "to": [{"podSelector": {"matchLabels": dict(labels)}}],
        "ports": [{"protocol": "TCP", "port": port}],
    }


def anywhere(port: int) -> Document:
    """A port of whoever listens there: of a service whose addresses only its owner knows."""
    return {"ports": [{"protocol": "TCP", "port": port}]}


def _namespace(name: Input[str]) -> Document:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Pods that may be called."""

    labels: Mapping[str, str]
    port: int
    callers: Sequence[Input[str]] = ()
    """Namespaces from which they may be called."""
    neighbours: Sequence[Mapping[str, str]] = ()
    """Labels of pods in the same namespace that may call them."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Pods that may call somebody whom the others of their namespace may not."""

    name: str
    labels: Mapping[str, str]
    egress: Sequence[Document]


@dataclass(frozen=True, kw_only=True)
class NetworkPoliciesArgs:
    """What the pods of one namespace may do."""

    namespace: Input[str]
    egress: Sequence[Document]
    """Whom all of them may call."""
    callers: Sequence[Caller] = ()
    """Whom some of them may call besides."""
    listeners: Sequence[Listener] = ()
    """Which of them may be called; nobody calls a training Job."""


class NetworkPolicies(pulumi.ComponentResource):
    """Everything is refused in both directions; each further policy opens something."""

    def __init__(self, name: str, args: NetworkPoliciesArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:kubernetes:NetworkPolicies", name, None, opts)

        policies: dict[str, Document] = {
            "closed": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        }
        if args.egress:
            policies["egress"] = {
                "podSelector": {},
                "policyTypes": ["Egress"],
                "egress": list(args.egress),
            }
        for caller in args.callers:
            policies[f"egress-{caller.name}"] = {
                "podSelector": {"matchLabels": dict(caller.labels)},
                "policyTypes": ["Egress"],
                "egress": list(caller.egress),
            }
        for listener in args.listeners:
            policies[f"ingress-{listener.port}"] = {
                "podSelector": {"matchLabels": dict(listener.labels)},
                "policyTypes": ["Ingress"],
                "ingress": [
                    {
                        "from": [
                            *map(_namespace, listener.callers),
                            *(
                                {"podSelector": {"matchLabels": dict(labels)}}
                                for labels in listener.neighbours
                            ),
                        ],
                        "ports": [{"protocol": "TCP", "port": listener.port}],
                    }
                ],
            }
        for what, spec in policies.items():
            k8s.networking.v1.NetworkPolicy(
                f"{name}-{what}",
                metadata={"namespace": args.namespace},
                spec=spec,
                opts=ResourceOptions(parent=self),
            )
        self.register_outputs({})
