"""Where a stack on Kubernetes keeps its rows and its artifacts: in the cluster, or elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pulumi import Input, Resource, ResourceOptions

from components import object_store, postgres
from components.network_policies import HTTPS, Listener, anywhere, beside
from components.object_store import ObjectStore, ObjectStoreArgs, ObjectStoreSettings
from components.postgres import Postgres, PostgresArgs, PostgresSettings
from server.pod import Document, SecretKey
from server.spec import S3_KEYS, ServerSpec

from .kubernetes_stack import ExternalArtifactsSettings, Stack

DATABASE, OBJECTS = "mlflow-database", "mlflow-objects"
"""Services and StatefulSets of what runs in the cluster."""

OWNER_KEY, RUNTIME_KEY = "owner-url", "runtime-url"

GOOGLE = "/run/secrets/google"

MLFLOW_PODS = {"app.kubernetes.io/name": "mlflow"}
"""The server's and the migration's: all that may call a store."""


@dataclass(frozen=True, kw_only=True)
class DatabaseLink:
    """What the server and the migration are told of the database."""

    owner_url: Input[str] | SecretKey
    runtime_url: Input[str] | SecretKey
    runtime_role: str | None
    egress: Sequence[Document]
    """How they reach it."""
    listeners: Sequence[Listener] = ()
    """What of it may be called."""
    parts: Sequence[Resource] = ()


@dataclass(frozen=True, kw_only=True)
class ArtifactsLink:
    """What the server is told of the artifacts."""

    url: Input[str]
    egress: Sequence[Document]
    """How it reaches them."""
    public: Sequence[Document] = ()
    """The part of it that is there for others too."""
    settings: Mapping[str, Input[str]] = field(default_factory=dict)
    credentials: Mapping[str, Input[str] | SecretKey] = field(default_factory=dict)
    files: Mapping[str, Input[str]] = field(default_factory=dict)
    listeners: Sequence[Listener] = ()
    """What of them may be called."""
    parts: Sequence[Resource] = ()


def database_of(stack: Stack, namespace: Input[str], opts: ResourceOptions) -> DatabaseLink:
    """Somebody else's Postgres, or one in the cluster."""
    if external := stack.external_database:
        return DatabaseLink(
            owner_url=SecretKey(secret=external.secret, key=OWNER_KEY),
            runtime_url=SecretKey(secret=external.secret, key=RUNTIME_KEY),
            runtime_role=external.runtime_role,
            egress=[anywhere(external.port)],
        )
    inside = Postgres(
        "mlflow",
        PostgresArgs(
            namespace=namespace,
            settings=stack.database or PostgresSettings(),
            service=DATABASE,
            account="database",
            connections=stack.size.budget,
            protect=stack.protect_data,
            pull_secrets=stack.images.pull_secrets,
        ),
        opts=opts,
    )
    labels = postgres.pod_labels(DATABASE)
    return DatabaseLink(
        owner_url=inside.owner_url,
        runtime_url=inside.runtime_url,
        runtime_role=inside.runtime_role,
        egress=[beside(labels, postgres.PORT)],
        listeners=[Listener(labels=labels, port=postgres.PORT, neighbours=[MLFLOW_PODS])],
        parts=[inside],
    )


def artifacts_of(stack: Stack, namespace: Input[str], opts: ResourceOptions) -> ArtifactsLink:
    """Somebody else's bucket, or one in the cluster."""
    if stack.external_artifacts:
        return _elsewhere(stack.external_artifacts)
    inside = ObjectStore(
        "mlflow",
        ObjectStoreArgs(
            namespace=namespace,
            settings=stack.object_store or ObjectStoreSettings(),
            service=OBJECTS,
            account="objects",
            protect=stack.protect_data,
            pull_secrets=stack.images.pull_secrets,
        ),
        opts=opts,
    )
    labels = object_store.pod_labels(OBJECTS)
    return ArtifactsLink(
        url=inside.url.apply(lambda bucket: f"{bucket}/artifacts"),
        egress=[beside(labels, object_store.PORT)],
        settings=ServerSpec.s3(inside.endpoint, None),
        credentials=ServerSpec.s3_keys(inside.access_key, inside.secret_key),
        listeners=[Listener(labels=labels, port=object_store.PORT, neighbours=[MLFLOW_PODS])],
        parts=[inside],
    )


def _elsewhere(external: ExternalArtifactsSettings) -> ArtifactsLink:
    public = [HTTPS] if external.calls is None else [anywhere(external.calls)]
    if external.url.startswith("gs://"):
        return ArtifactsLink(
            url=external.url,
            egress=public,
            public=public,
            settings=ServerSpec.google_key(f"{GOOGLE}/credentials.json"),
            files={GOOGLE: external.secret},
        )
    return ArtifactsLink(
        url=external.url,
        egress=public,
        public=public,
        settings=ServerSpec.s3(external.endpoint, external.region),
        credentials={key: SecretKey(secret=external.secret, key=key) for key in S3_KEYS},
    )
