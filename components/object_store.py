"""An S3-compatible object store in the cluster, for models, plots and data sets."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random as random
from pulumi import CustomTimeouts, Input, Output, ResourceOptions
from pydantic import Field

from server.pod import CONTAINER_SECURITY, HARDENED, Document
from settings import settings

from .after import after
from .volume import Volume, VolumeArgs

IMAGE = "docker.io/versity/versitygw:v1.8.0"

PORT = 8333

BUCKET = "mlflow"

DATA, CONFIGURATION, SECRETS = "/data", "/etc/mlflow-objects", "/run/secrets/objects"

READY_SECONDS = 15 * 60
"""For a new node, a volume and the image."""

HEALTH = "/healthz"

USER = "server"
"""The tracking server's name at the store."""

RIGHTS = {
    "": ["ListBucket"],
    "/*": [
        *("GetObject", "PutObject", "DeleteObject"),
        *("AbortMultipartUpload", "ListMultipartUploadParts"),
    ],
}
"""What the server may do to its one bucket, and to what is in it. Nobody else may do anything."""


@settings
class ObjectStoreSettings:
    """The object store (VersityGW) that runs in the cluster, with a volume of its own."""

    storage_gib: Annotated[int, Field(ge=1, le=65536)] = 10
    """Size of the volume. It can grow where the storage class allows that, and never shrink."""
    storage_class: Annotated[str, Field(min_length=1)] | None = None
    """Storage class of the volume. By default, the cluster's default one."""
    image: Annotated[str, Field(min_length=1)] | None = None
    """Another image with `versitygw` on its PATH, from a mirror for example. By default, the
    official one."""


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
        "app.kubernetes.io/name": "versitygw",
        "app.kubernetes.io/component": "objects",
        "app.kubernetes.io/instance": service,
    }


class ObjectStore(pulumi.ComponentResource):
    """One bucket, and one user of it: the server."""

    endpoint: Output[str]
    """Address of its S3 API inside the cluster, given out once the bucket is there."""
    url: Output[str]
    """The bucket, as `s3://`."""
    access_key: str = USER
    secret_key: Output[str]
    """Secret. The server's password at the store."""

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

        self.secret_key = random.RandomPassword(
            f"{part}-secret-key", length=40, special=False, opts=child
        ).result
        user = {"access": USER, "secret": self.secret_key, "role": "user"}
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
            string_data={"users.json": Output.json_dumps({"accessAccounts": {USER: user}})},
            immutable=True,
            opts=child,
        )
        config = k8s.core.v1.ConfigMap(
            part,
            metadata=metadata,
            data={
                "object_store.sh": Path(__file__).with_name("object_store.sh").read_text(),
                "policy.json": json.dumps(_policy(), indent=2),
            },
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


def _policy() -> Document:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": [USER]},
                "Action": [f"s3:{right}" for right in rights],
                "Resource": [f"arn:aws:s3:::{BUCKET}{part}"],
            }
            for part, rights in RIGHTS.items()
        ],
    }


def _pod(
    *,
    image: str,
    account: Input[str],
    config: Input[str],
    secret: Input[str],
    claim: Input[str],
) -> Document:
    def asks(failures: int) -> Document:
        return {
            "httpGet": {"path": HEALTH, "port": "s3"},
            "periodSeconds": 5,
            "timeoutSeconds": 5,
            "failureThreshold": failures,
        }

    variables = {
        "DATA": DATA,
        "CONFIGURATION": CONFIGURATION,
        "SECRETS": SECRETS,
        "PORT": str(PORT),
        "BUCKET": BUCKET,
        "HEALTH": HEALTH,
        "GOMEMLIMIT": "200MiB",  # Go does not know the container's limit
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
                "command": ["sh", f"{CONFIGURATION}/object_store.sh"],
                "env": [{"name": key, "value": value} for key, value in variables.items()],
                "ports": [{"name": "s3", "containerPort": PORT}],
                "resources": {  # 64 uploads or downloads at once take 100 MiB
                    "requests": {"cpu": "100m", "memory": "128Mi"},
                    "limits": {"memory": "256Mi"},
                },
                "readinessProbe": asks(failures=3),
                "livenessProbe": asks(failures=12),
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [
                    {"name": "data", "mountPath": DATA},
                    {"name": "configuration", "mountPath": CONFIGURATION, "readOnly": True},
                    {"name": "keys", "mountPath": SECRETS, "readOnly": True},
                ],
            }
        ],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": claim}},
            {"name": "configuration", "configMap": {"name": config}},
            {"name": "keys", "secret": {"secretName": secret}},
        ],
        # It gives an upload that is under way ten seconds, and then breaks it off.
        "terminationGracePeriodSeconds": 20,
    }
