"""Google's managed Prometheus reads what the server's pods count, and keeps it in Cloud Monitoring.

Its collectors run beside the pods, one on each node. The operator that checks a PodMonitoring needs
a node too, so this comes after the server.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi import Input, ResourceOptions

from server.pod import METRICS, Document

COLLECTORS = ("gmp-system", "gke-gmp-system")
"""Namespaces in which they run: a cluster's with nodes of its own, and with nodes of Google's."""

INTERVAL = "60s"
"""Between two readings: they are paid for one by one."""


@dataclass(frozen=True, kw_only=True)
class PodMonitoringArgs:
    """Whose metrics are read."""

    namespace: Input[str]
    labels: Mapping[str, str]
    """What the pods have in common, and nothing else has."""


class PodMonitoring(pulumi.ComponentResource):
    """Every pod that is there at the time, autoscaled ones included."""

    def __init__(self, name: str, args: PodMonitoringArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:gke:PodMonitoring", name, None, opts)
        spec: Document = {
            "selector": {"matchLabels": dict(args.labels)},
            "endpoints": [{"port": METRICS, "interval": INTERVAL}],
        }
        k8s.apiextensions.CustomResource(
            name,
            api_version="monitoring.googleapis.com/v1",
            kind="PodMonitoring",
            metadata={"namespace": args.namespace},
            spec=spec,
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({})
