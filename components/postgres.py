"""A Postgres in the cluster, for runs, parameters, metrics and the model registry."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random as random
from pulumi import CustomTimeouts, Input, Output, ResourceOptions
from pydantic import Field

from server.pod import CONTAINER_SECURITY, HARDENED, SCRATCH, USER, Document
from settings import settings

from .after import after
from .volume import Volume, VolumeArgs

IMAGES = {
    16: "docker.io/library/postgres:16.11-bookworm",
    17: "docker.io/library/postgres:17.7-bookworm",
    18: "docker.io/library/postgres:18.1-bookworm",
}

PORT = 5432

DATABASE, OWNER, RUNTIME = "mlflow", "mlflow_owner", "mlflow_server"
"""The roles are called as on Cloud SQL."""

DATA, CONFIGURATION, SECRETS = "/data", "/etc/mlflow-postgres", "/run/secrets/postgres"

RESERVED_CONNECTIONS = 6
"""Three for superusers, which is Postgres's default, and three for people who look or back up."""

BASE_MIB, CONNECTION_MIB = 384, 8
"""Shared buffers, caches and workers; and a process with the catalogues that it remembers."""

READY_SECONDS = 15 * 60
"""For a new node, a volume and the image; a recovery after a crash may need some of it too."""


@settings
class PostgresSettings:
    """The Postgres that runs in the cluster, with a volume of its own."""

    version: Literal[16, 17, 18] = 17
    """Major version. Another one needs a dump and a restore: the pod refuses files of a different
    version and leaves them as they are."""
    storage_gib: Annotated[int, Field(ge=1, le=65536)] = 5
    """Size of the volume. It can grow where the storage class allows that, and never shrink."""
    storage_class: Annotated[str, Field(min_length=1)] | None = None
    """Storage class of the volume. By default, the cluster's default one."""
    image: Annotated[str, Field(min_length=1)] | None = None
    """Another image with Postgres' programs on its PATH, from a mirror for example. By default,
    the official one."""


@dataclass(frozen=True, kw_only=True)
class PostgresArgs:
    """Wiring of the database."""

    namespace: Input[str]
    settings: PostgresSettings
    service: str
    """Real name of the Service and the StatefulSet: people type it."""
    account: str
    """Real name of the Kubernetes service account to make."""
    connections: int
    """How many connections the servers and the migration may have together."""
    protect: bool
    """Whether the volume and the passwords refuse to be deleted."""
    pull_secrets: Sequence[Input[str]] = ()
    """Secrets of the namespace with a login to the image's registry."""


def pod_labels(service: str) -> dict[str, str]:
    """What the database's pod has, and nothing else."""
    return {
        "app.kubernetes.io/name": "postgres",
        "app.kubernetes.io/component": "database",
        "app.kubernetes.io/instance": service,
    }


class Postgres(pulumi.ComponentResource):
    """One database, owned by one role and used by another, as on Cloud SQL.

    Both log in by password, over the network; the superuser only from inside of the pod.
    """

    owner_url: Output[str]
    """Secret. For the migration: SQLAlchemy URL of the role that owns the schema, given out once
    the database answers."""
    runtime_url: Output[str]
    """Secret. For the servers: SQLAlchemy URL of the role that reads and writes rows."""
    runtime_role: str = RUNTIME

    def __init__(self, name: str, args: PostgresArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:kubernetes:Postgres", name, None, opts)
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
        part = f"{name}-database"

        def password(role: str) -> Output[str]:
            return random.RandomPassword(
                f"{part}-{role}",
                length=32,
                special=False,  # it stands in URLs and in SQL
                opts=ResourceOptions(parent=self, protect=args.protect),
            ).result

        passwords = {OWNER: password("owner"), RUNTIME: password("server")}
        account = k8s.core.v1.ServiceAccount(
            part,
            metadata=known,
            image_pull_secrets=[{"name": each} for each in args.pull_secrets] or None,
            automount_service_account_token=False,
            opts=child,
        )
        # Both get a new name with each change, so that a change restarts the pod.
        secret = k8s.core.v1.Secret(
            part, metadata=metadata, string_data=passwords, immutable=True, opts=child
        )
        config = k8s.core.v1.ConfigMap(
            part,
            metadata=metadata,
            data=_files(args.connections + RESERVED_CONNECTIONS),
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
                    image=args.settings.image or IMAGES[args.settings.version],
                    account=account.metadata.name,
                    config=config.metadata.name,
                    secret=secret.metadata.name,
                    claim=volume.claim,
                    memory_mib=BASE_MIB + CONNECTION_MIB * args.connections,
                ),
            },
        }
        database = k8s.apps.v1.StatefulSet(
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
            "ports": [{"name": "postgres", "port": PORT, "targetPort": "postgres"}],
        }
        # The pod is waited for by itself, and for longer than Pulumi would wait here.
        early: Document = {**named, "annotations": {"pulumi.com/skipAwait": "true"}}
        service = k8s.core.v1.Service(part, metadata=early, spec=access, opts=child)

        def url(role: str) -> Output[str]:
            return Output.format(
                "postgresql+psycopg2://{0}:{1}@{2}.{3}.svc.cluster.local:{4}/{5}",
                *(role, passwords[role], service.metadata.name, args.namespace, PORT, DATABASE),
            )

        self.owner_url = after(url(OWNER), database)
        self.runtime_url = after(url(RUNTIME), database)
        self.register_outputs({})


def _files(connections: int) -> dict[str, str]:
    settings = {
        "listen_addresses": "*",
        "port": PORT,
        "unix_socket_directories": SCRATCH,
        "hba_file": f"{CONFIGURATION}/pg_hba.conf",
        "ident_file": "/dev/null",
        "max_connections": connections,
        "shared_buffers": "128MB",
        "min_wal_size": "80MB",
        "max_wal_size": "512MB",
        "jit": "off",
        "log_checkpoints": "off",
        # A statement may hold a password; the error itself is always logged.
        "log_min_error_statement": "panic",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    return {
        "postgres.sh": Path(__file__).with_name("postgres.sh").read_text(),
        "postgresql.conf": "".join(f"{key} = '{value}'\n" for key, value in settings.items()),
        "pg_hba.conf": (
            f"host {DATABASE} {OWNER},{RUNTIME} all scram-sha-256\n"
            # Who can open a shell in the pod reads the files anyway.
            "local all postgres peer\n"
        ),
        # Postgres does not run as a user without a name, and no image knows ours.
        "passwd": f"postgres:x:{USER}:{USER}:Postgres:{SCRATCH}:/bin/sh\n",
    }


def _pod(
    *,
    image: str,
    account: Input[str],
    config: Input[str],
    secret: Input[str],
    claim: Input[str],
    memory_mib: int,
) -> Document:
    memory = f"{memory_mib}Mi"

    def container(name: str, step: str, **more: Document) -> Document:
        return {
            "name": name,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", f"{CONFIGURATION}/postgres.sh", step],
            "env": [
                {"name": key, "value": value}
                for key, value in {
                    "PGDATA": f"{DATA}/postgres",
                    "PGHOST": SCRATCH,
                    "CONFIGURATION": CONFIGURATION,
                    "SECRETS": SECRETS,
                    "DATABASE": DATABASE,
                    "OWNER": OWNER,
                    "RUNTIME": RUNTIME,
                    "LC_ALL": "C",
                }.items()
            ],
            "resources": {
                "requests": {"cpu": "100m", "memory": memory},
                "limits": {"memory": memory},
            },
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "securityContext": CONTAINER_SECURITY,
            "volumeMounts": [
                {"name": "data", "mountPath": DATA},
                {"name": "scratch", "mountPath": SCRATCH},
                {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108
                {"name": "configuration", "mountPath": CONFIGURATION, "readOnly": True},
                {
                    "name": "configuration",
                    "mountPath": "/etc/passwd",
                    "subPath": "passwd",
                    "readOnly": True,
                },
            ],
            **more,
        }

    prepare = container("prepare", "prepare")
    prepare["volumeMounts"].append({"name": "passwords", "mountPath": SECRETS, "readOnly": True})
    return {
        **HARDENED,
        "securityContext": {
            **HARDENED["securityContext"],
            # With `Always`, the volume's files would get rights for their group each time, and
            # a large volume would take minutes.
            "fsGroupChangePolicy": "OnRootMismatch",
        },
        "serviceAccountName": account,
        "initContainers": [prepare],
        "containers": [
            container(
                "postgres",
                "serve",
                ports=[{"name": "postgres", "containerPort": PORT}],
                # 1 is "starting up": a recovery may take as long as it takes.
                startupProbe=_asks("pg_isready -q; test $? -le 1", seconds=5, failures=60),
                # Each question starts processes in the container.
                readinessProbe=_asks("pg_isready -q", seconds=10, failures=2),
                livenessProbe=_asks("pg_isready -q; test $? -le 1", seconds=15, failures=3),
                # SIGTERM alone would wait until the last connection is closed.
                lifecycle={"preStop": {"exec": {"command": ["sh", "-c", "kill -INT 1"]}}},
            )
        ],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": claim}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "128Mi"}},
            {"name": "configuration", "configMap": {"name": config}},
            {"name": "passwords", "secret": {"secretName": secret}},
        ],
        "terminationGracePeriodSeconds": 120,
    }


def _asks(command: str, *, seconds: int, failures: int) -> Document:
    return {
        "exec": {"command": ["sh", "-c", command]},
        "periodSeconds": seconds,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
