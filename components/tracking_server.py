"""The MLflow tracking server on Kubernetes: its pods, its address and its environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pulumi import CustomTimeouts, Input, Output, ResourceOptions

from server.pod import SERVER, Document, SecretKey, tracking_pod
from server.spec import SURGE_REPLICAS, ServerSpec

from .after import after
from .network_policies import Listener

PORT = 80
"""Of the Service, so that its address needs no port."""

READY_SECONDS = 15 * 60
"""For a new node, the image, the proxy and the server, one after the other."""

CPU_PERCENT = 70
"""Of what a replica asked for; above it, another one starts. With its node that takes minutes, in
which the load can grow by 43 % before pods want more than they were promised. People who look
around start none: the longest search, of 1,000 runs, is 0.14 s of CPU, 4 % of what one `small` pod
is promised in the 15 seconds between two looks of the autoscaler."""


def host_names(service: str, namespace: str) -> tuple[str, ...]:
    """Every name that Kubernetes gives to a Service, from near to far."""
    near = f"{service}.{namespace}"
    return (service, near, f"{near}.svc", f"{near}.svc.cluster.local")


def pod_labels(service: str) -> dict[str, str]:
    """What the pods behind a server's Service have in common, and nothing else has."""
    return {
        "app.kubernetes.io/name": "mlflow",
        "app.kubernetes.io/component": "tracking",
        "app.kubernetes.io/instance": service,
    }


def listeners(
    service: str,
    spec: ServerSpec,
    *,
    callers: Sequence[Input[str]],
    watchers: Sequence[Input[str]],
) -> list[Listener]:
    """Namespaces that may call the pods behind a Service, and those that may read their metrics."""
    labels = pod_labels(service)
    called = [Listener(labels=labels, port=spec.port, callers=callers)]
    if spec.metrics_port:
        called.append(Listener(labels=labels, port=spec.metrics_port, callers=watchers))
    return called


@dataclass(frozen=True, kw_only=True)
class TrackingServerArgs:
    """Wiring of a tracking server."""

    namespace: Input[str]
    service: str
    """Real name of the Service and the Deployment: people and programs type it.

    Not `mlflow`: Kubernetes would set MLFLOW_PORT, which the server reads, in the pods beside it.
    """
    spec: ServerSpec
    image: Input[str]
    backend_url: Input[str] | SecretKey
    """SQLAlchemy URL of the database as seen from the pod; secret where it holds a password."""
    artifacts_url: Input[str]
    settings: Mapping[str, Input[str]] = field(default_factory=dict)
    """Further environment, such as where the artifacts' store is. Nothing in it is secret."""
    credentials: Mapping[str, Input[str] | SecretKey] = field(default_factory=dict)
    """Further environment that is."""
    files: Mapping[str, Input[str]] = field(default_factory=dict)
    """Secrets of the namespace to be seen as folders, by the folder's path."""
    account: str
    """Real name of the Kubernetes service account to make."""
    annotations: Mapping[str, Input[str]] = field(default_factory=dict)
    """What ties that account to an identity of the cloud."""
    sidecars: Sequence[Document] = ()
    """What must run beside the server for the database to be reached."""
    pull_secrets: Sequence[Input[str]] = ()
    """Secrets of the namespace with a login to the image's registry."""


class TrackingServer(pulumi.ComponentResource):
    """Replicas that no single node, zone or update takes away together."""

    uri: Output[str]
    """Address inside the cluster, given out once the server answers."""

    def __init__(self, name: str, args: TrackingServerArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:kubernetes:TrackingServer", name, None, opts)
        child = ResourceOptions(parent=self)
        size = args.spec.size
        selector = pod_labels(args.service)
        labels = {
            **selector,
            "app.kubernetes.io/part-of": "mlflow-platform",
            "app.kubernetes.io/managed-by": "pulumi",
        }
        metadata: Document = {"namespace": args.namespace, "labels": labels}
        named: Document = {**metadata, "name": args.service}

        known: Document = {
            **metadata,
            "name": args.account,
            # An empty one would look changed with each update: the cluster does not keep it.
            "annotations": args.annotations or None,
        }

        account = k8s.core.v1.ServiceAccount(
            name,
            metadata=known,
            image_pull_secrets=[{"name": name} for name in args.pull_secrets] or None,
            automount_service_account_token=False,
            opts=child,
        )
        backend: Any = args.backend_url
        stores = {**args.spec.stores(backend, args.artifacts_url), **args.credentials}
        # Both get a new name with each change, so that a change rolls the pods and a roll back
        # finds what it had.
        config = k8s.core.v1.ConfigMap(
            name,
            metadata=metadata,
            data={**args.spec.environment(), **args.settings},
            immutable=True,
            opts=child,
        )
        secret = k8s.core.v1.Secret(
            name,
            metadata=metadata,
            string_data={k: v for k, v in stores.items() if not isinstance(v, SecretKey)},
            immutable=True,
            opts=child,
        )
        scaled = size.min_replicas < size.max_replicas
        pods: Document = {
            # With an autoscaler the number is the autoscaler's.
            **({} if scaled else {"replicas": size.min_replicas}),
            "selector": {"matchLabels": selector},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": SURGE_REPLICAS},
            },
            "progressDeadlineSeconds": READY_SECONDS,
            "revisionHistoryLimit": 3,
            "template": {
                "metadata": {"labels": labels},
                "spec": tracking_pod(
                    args.spec,
                    image=args.image,
                    account=account.metadata.name,
                    config=config.metadata.name,
                    secret=secret.metadata.name,
                    sidecars=args.sidecars,
                    labels=selector,
                    variables={k: v for k, v in stores.items() if isinstance(v, SecretKey)},
                    files=args.files,
                ),
            },
        }
        deployment = k8s.apps.v1.Deployment(
            name,
            metadata=named,
            spec=pods,
            opts=ResourceOptions(
                parent=self,
                custom_timeouts=CustomTimeouts(
                    create=f"{READY_SECONDS // 60 + 5}m",
                    update=f"{READY_SECONDS // 60 * (size.max_replicas + SURGE_REPLICAS)}m",
                ),
            ),
        )
        if scaled:
            scaling: Document = {
                "scaleTargetRef": {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": deployment.metadata.name,
                },
                "minReplicas": size.min_replicas,
                "maxReplicas": size.max_replicas,
                "metrics": [
                    {
                        "type": "ContainerResource",
                        "containerResource": {
                            "name": "cpu",
                            "container": SERVER,
                            "target": {"type": "Utilization", "averageUtilization": CPU_PERCENT},
                        },
                    }
                ],
            }
            k8s.autoscaling.v2.HorizontalPodAutoscaler(
                name, metadata=metadata, spec=scaling, opts=child
            )
        disruption: Document = {
            "selector": {"matchLabels": selector},
            # Not a number of pods that must stay: with one replica that would block every
            # upgrade of its node.
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }
        k8s.policy.v1.PodDisruptionBudget(name, metadata=metadata, spec=disruption, opts=child)
        access: Document = {
            "type": "ClusterIP",
            "selector": selector,
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        }
        # Its pods come after the migration, and Pulumi would give up on them sooner.
        early: Document = {**named, "annotations": {"pulumi.com/skipAwait": "true"}}
        service = k8s.core.v1.Service(name, metadata=early, spec=access, opts=child)

        self.uri = after(
            Output.format(
                "http://{0}.{1}.svc.cluster.local", service.metadata.name, args.namespace
            ),
            deployment,
        )
        self.register_outputs({})
