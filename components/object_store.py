"""An S3-compatible object store in the cluster, for models, plots and data sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random as random
from pulumi import CustomTimeouts, Input, Output, ResourceOptions
from pydantic import Field

from server.pod import CONTAINER_SECURITY, HARDENED, SCRATCH, Document
from settings import settings

from .after import after
from .volume import Volume, VolumeArgs

IMAGE = "docker.io/chrislusf/seaweedfs:4.48"

PORT = 8333

BUCKET = "mlflow"

DATA, CONFIGURATION, SECRETS = "/data", "/etc/mlflow-objects", "/run/secrets/objects"

READY_SECONDS = 15 * 60
"""For a new node, a volume and the image."""

RIGHTS = ("Read", "Write", "List", "Tagging")
"""What the server may do, in its one bucket. None of them makes or deletes a bucket."""


@settings
class ObjectStoreSettings:
    """The object store (SeaweedFS) that runs in the cluster, with a volume of its own."""

    storage_gib: Annotated[int, Field(ge=1, le=65536)] = 10
    """Size of the volume. It can grow where the storage class allows that, and never shrink."""
    storage_class: Annotated[str, Field(min_length=1)] | None = None
    """Storage class of the volume. By default, the cluster's default one."""
    image: Annotated[str, Field(min_length=1)] | None = None
    """Another image with `weed` on its PATH, from a mirror for example. By default, the official
    one."""


@dataclass(frozen=True, kw_only=True)
class ObjectStoreArgs:
    """Wiring of the object store."""

    namespace: Input[str]
    settings: ObjectStoreSettings
    service: str
    """Real name of the Service and the StatefulSet: people type it."""
    account: str
    """Real name of the Kubernetes service account to make."""
    protect: bool
    """Whether the volume refuses to be deleted."""
    pull_secrets: Sequence[Input[str]] = ()
    """Secrets of the namespace with a login to the image's registry."""


def pod_labels(service: str) -> dict[str, str]:
    """What the store's pod has, and nothing else."""
    return {
        "app.kubernetes.io/name": "seaweedfs",
        "app.kubernetes.io/component": "objects",
        "app.kubernetes.io/instance": service,
    }


class ObjectStore(pulumi.ComponentResource):
    """One bucket, and one user of it: the server."""

    endpoint: Output[str]
    """Address of its S3 API inside the cluster, given out once the bucket is there."""
    url: Output[str]
    """The bucket, as `s3://`."""
    access_key: Output[str]
    """Secret. The server's name at the store."""
    secret_key: Output[str]
    """Secret. The server's password there."""

    def __init__(self, name: str, args: ObjectStoreArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:kubernetes:ObjectStore", name, None, opts)
        child = ResourceOptions(parent=self)
        selector = pod_labels(args.service)
        labels = {
            **selector,
            "app.kubernetes.io/part-of": "mlflow-platform",
            "app.kubernetes.io/managed-by": "pulumi",
        }
        metadata: Document = {"namespace": args.namespace, "labels": labels}
        named: Document = {**metadata, "name": args.service}
        known: Document = {**metadata, "name": args.account}
        part = f"{name}-objects"

        def password(what: str, length: int) -> Output[str]:
            return random.RandomPassword(
                f"{part}-{what}", length=length, special=False, opts=child
            ).result

        self.access_key, self.secret_key = password("access-key", 20), password("secret-key", 40)
        user = {
            "name": "server",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": [f"{right}:{BUCKET}" for right in RIGHTS],
        }
        account = k8s.core.v1.ServiceAccount(
            part,
            metadata=known,
            image_pull_secrets=[{"name": each} for each in args.pull_secrets] or None,
            automount_service_account_token=False,
            opts=child,
        )
        # Both get a new name with each change, so that a change restarts the pod.
        secret = k8s.core.v1.Secret(
            part,
            metadata=metadata,
            string_data={"s3.json": Output.json_dumps({"identities": [user]})},
            immutable=True,
            opts=child,
        )
        config = k8s.core.v1.ConfigMap(
            part,
            metadata=metadata,
            data={"object_store.sh": Path(__file__).with_name("object_store.sh").read_text()},
            immutable=True,
            opts=child,
        )
        volume = Volume(
            part,
            VolumeArgs(
                namespace=args.namespace,
                labels=labels,
                gib=args.settings.storage_gib,
                storage_class=args.settings.storage_class,
                protect=args.protect,
            ),
            opts=child,
        )
        pod: Document = {
            "replicas": 1,
            "serviceName": args.service,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": labels},
                "spec": _pod(
                    image=args.settings.image or IMAGE,
                    account=account.metadata.name,
                    config=config.metadata.name,
                    secret=secret.metadata.name,
                    claim=volume.claim,
                    storage_gib=args.settings.storage_gib,
                ),
            },
        }
        store = k8s.apps.v1.StatefulSet(
            part,
            metadata=named,
            spec=pod,
            opts=ResourceOptions(
                parent=self,
                custom_timeouts=CustomTimeouts(
                    create=f"{READY_SECONDS // 60}m", update=f"{READY_SECONDS // 60}m"
                ),
            ),
        )
        access: Document = {
            "type": "ClusterIP",
            "selector": selector,
            "ports": [{"name": "s3", "port": PORT, "targetPort": "s3"}],
        }
        # The pod is waited for by itself, and for longer than Pulumi would wait here.
        early: Document = {**named, "annotations": {"pulumi.com/skipAwait": "true"}}
        service = k8s.core.v1.Service(part, metadata=early, spec=access, opts=child)

        self.endpoint = after(
            Output.format(
                "http://{0}.{1}.svc.cluster.local:{2}",
                *(service.metadata.name, args.namespace, PORT),
            ),
            store,
        )
        self.url = Output.from_input(f"s3://{BUCKET}")
        self.register_outputs({})


def _pod(
    *,
    image: str,
    account: Input[str],
    config: Input[str],
    secret: Input[str],
    claim: Input[str],
    storage_gib: int,
) -> Document:
    script = f"{CONFIGURATION}/object_store.sh"

    def asks(failures: int) -> Document:
        return {
            "httpGet": {"path": "/healthz", "port": "s3"},
            "periodSeconds": 5,
            "timeoutSeconds": 5,
            "failureThreshold": failures,
        }

    variables = {
        "DATA": DATA,
        "SECRETS": SECRETS,
        "PORT": str(PORT),
        "BUCKET": BUCKET,
        # Go does not know the container's limit: six uploads at once of 32 MiB went beyond it.
        "GOMEMLIMIT": "768MiB",
        # A volume is a file that is full one day; a bucket wants several to write to at once.
        "VOLUME_MB": str(min(max(64, storage_gib * 1024 // 100), 30000)),
    }
    return {
        **HARDENED,
        "securityContext": {
            **HARDENED["securityContext"],
            # With `Always`, a large volume would take minutes at each start.
            "fsGroupChangePolicy": "OnRootMismatch",
        },
        "serviceAccountName": account,
        "containers": [
            {
                "name": "objects",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["sh", script, "serve"],
                "env": [{"name": key, "value": value} for key, value in variables.items()],
                "ports": [{"name": "s3", "containerPort": PORT}],
                "resources": {
                    "requests": {"cpu": "100m", "memory": "256Mi"},
                    "limits": {"memory": "1Gi"},
                },
                "startupProbe": asks(failures=60),
                "readinessProbe": asks(failures=3),
                "livenessProbe": asks(failures=12),
                "lifecycle": {
                    # The pod is not ready before this has ended.
                    "postStart": {"exec": {"command": ["sh", script, "bucket"]}}
                },
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [
                    {"name": "data", "mountPath": DATA},
                    {"name": "scratch", "mountPath": SCRATCH},
                    {"name": "configuration", "mountPath": CONFIGURATION, "readOnly": True},
                    {"name": "keys", "mountPath": SECRETS, "readOnly": True},
                ],
            }
        ],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": claim}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "configuration", "configMap": {"name": config}},
            {"name": "keys", "secret": {"secretName": secret}},
        ],
        # It tells its own parts, one after the other, and waits for each.
        "terminationGracePeriodSeconds": 60,
    }
