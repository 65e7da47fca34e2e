"""The pods of the server and of its migration, as Kubernetes writes them.

Plain Kubernetes documents in Kubernetes' own spelling: a platform puts them into a Deployment and a
Job. The image, the stores and the sidecars come from the platform and may be values of any kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .spec import DRAIN_SECONDS, ServerSpec

Document = Any
"""A piece of a Kubernetes object. Tests compare whole objects with the schemas of Kubernetes, which
know more than types do."""

SERVER = "mlflow"
"""Name of the server's container."""

MIGRATION = "migration"
"""Name of the migration's container."""

METRICS = "metrics"
"""Name of the port at which it tells of its requests."""

USER = 65532
"""The user of both images: the SQL proxy's is called `nonroot` there."""

SCRATCH = "/tmp"  # noqa: S108
"""The only place where anything is written."""

QUIET_SECONDS = 10
"""Between leaving the Service and stopping, while the last new requests still arrive."""


@dataclass(frozen=True, kw_only=True)
class SecretKey:
    """A value that stands in a Secret of the pod's namespace, made by somebody else."""

    secret: Any
    """The Secret's name."""
    key: str

    def variable(self, name: str) -> Document:
        """An environment variable of the container that has the value."""
        reference = {"name": self.secret, "key": self.key}
        return {"name": name, "valueFrom": {"secretKeyRef": reference}}


CONTAINER_SECURITY: Document = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}

HARDENED: Document = {
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    # Variables such as MLFLOW_PORT, one set for each Service, would be taken for MLflow's own.
    "enableServiceLinks": False,
    # Nothing here talks to Kubernetes; Google's identity comes from the metadata server.
    "automountServiceAccountToken": False,
}


def tracking_pod(
    spec: ServerSpec,
    *,
    image: Any,
    account: Any,
    config: Any,
    secret: Any,
    sidecars: Sequence[Document],
    labels: Mapping[str, str],
    variables: Mapping[str, SecretKey],
    files: Mapping[str, Any],
) -> Document:
    """One replica of the server; `config` and `secret` are names of what holds its environment.

    `variables` are taken from other Secrets; `files` are further Secrets, by where they are seen.
    """
    mounted = {f"secret-{index}": at for index, at in enumerate(files)}
    return {
        **HARDENED,
        "serviceAccountName": account,
        **_beside(sidecars),
        "containers": [
            {
                "name": SERVER,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": spec.command(),
                **_variables(variables),
                "envFrom": [
                    {"configMapRef": {"name": config}},
                    {"secretRef": {"name": secret}},
                ],
                "ports": _ports(spec),
                "resources": _resources(spec),
                **_probes(spec),
                "lifecycle": {"preStop": {"sleep": {"seconds": QUIET_SECONDS}}},
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [
                    {"name": "scratch", "mountPath": SCRATCH},
                    *(
                        {"name": name, "mountPath": at, "readOnly": True}
                        for name, at in mounted.items()
                    ),
                ],
            }
        ],
        "volumes": [
            {"name": "scratch", "emptyDir": {"sizeLimit": f"{spec.size.scratch_gib}Gi"}},
            *({"name": n, "secret": {"secretName": files[at]}} for n, at in mounted.items()),
        ],
        # The sidecars stop after the server, within the same time.
        "terminationGracePeriodSeconds": QUIET_SECONDS + DRAIN_SECONDS + 20,
        "topologySpreadConstraints": [
            {
                "topologyKey": key,
                "maxSkew": 1,
                # A crowded zone is better than a missing replica.
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(labels)},
                # Without it the old pods of a rolling update count, and the new ones crowd.
                "matchLabelKeys": ["pod-template-hash"],
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
    }


def migration_pod(
    *,
    image: Any,
    account: Any,
    secrets: Mapping[str, SecretKey],
    variables: Mapping[str, Any],
    sidecars: Sequence[Document],
) -> Document:
    """One attempt at the migration; `secrets` are variables too, by where they stand."""
    return {
        **HARDENED,
        "serviceAccountName": account,
        "restartPolicy": "Never",
        **_beside(sidecars),
        "containers": [
            {
                "name": MIGRATION,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python", "-m", "server.migration"],
                "env": [
                    *(source.variable(name) for name, source in secrets.items()),
                    *({"name": name, "value": value} for name, value in variables.items()),
                ],
                "resources": {  # it takes 225 MiB
                    "requests": {"cpu": "250m", "memory": "512Mi"},
                    "limits": {"memory": "512Mi"},
                },
                # The end of the log says how to restore; this puts it where `kubectl describe pod`
                # and Pulumi look for it.
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "256Mi"}}],
    }


def _beside(sidecars: Sequence[Document]) -> Document:
    # An empty list would look changed with each update: the cluster does not keep it.
    return {"initContainers": list(sidecars)} if sidecars else {}


def _variables(variables: Mapping[str, SecretKey]) -> Document:
    named = [source.variable(name) for name, source in variables.items()]
    return {"env": named} if named else {}


def _ports(spec: ServerSpec) -> Document:
    ports = {"http": spec.port, METRICS: spec.metrics_port}
    return [{"name": name, "containerPort": port} for name, port in ports.items() if port]


def _probes(spec: ServerSpec) -> Document:
    host = [{"name": "Host", "value": spec.names[0]}]  # MLflow answers 403 to a pod's address
    return {
        # A worker has opened the store: the database answers and has this version's schema. The
        # server tries for 101 s to reach it, and takes up to 40 s on a slow core to start.
        "startupProbe": {
            "httpGet": {
                "path": "/api/3.0/mlflow/server-info",
                "port": "http",
                "httpHeaders": host,
            },
            "periodSeconds": 5,
            "timeoutSeconds": 5,
            "failureThreshold": 60,
        },
        # One query, with the server's own rights: a pod that has lost the database gets no
        # requests while others have it.
        "readinessProbe": {
            "httpGet": {
                "path": _readiness(spec),
                "port": "http",
                "httpHeaders": host,
            },
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        # Answered by the event loop alone: a restart does not help a server whose database is
        # away, or whose threads are all at work.
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }


def _readiness(spec: ServerSpec) -> str:
    """What tells most of a server's health to a kubelet, who has no login."""
    if spec.auth == "none":
        return "/api/2.0/mlflow/experiments/search?max_results=1"
    return "/ready" if spec.engine == "tuned" else "/api/3.0/mlflow/server-info"


def _resources(spec: ServerSpec) -> Document:
    memory = f"{spec.size.memory_mib}Mi"
    return {
        # Scratch space is asked for by what it takes at rest: small nodes could not place a
        # request for its limit, and the kubelet evicts who goes beyond that.
        "requests": {"cpu": spec.size.cpu, "memory": memory, "ephemeral-storage": "1Gi"},
        "limits": {"memory": memory, "ephemeral-storage": f"{spec.size.scratch_gib + 1}Gi"},
    }
