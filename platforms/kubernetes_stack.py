"""The stack file of the Kubernetes platform: its sections, and the rules between them."""

import re
from collections.abc import Iterator
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from components.cluster_images import TOOLS, ClusterImagesSettings
from components.object_store import ObjectStoreSettings
from components.postgres import PostgresSettings
from server.spec import SIZES, Auth, Engine, LoginSettings, Size
from settings import AllRefused, Refused, settings

from . import login, protection

PROJECT = Path(__file__).resolve().parents[1]

Name = Annotated[str, Field(min_length=1)]

NAMESPACE = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"

SHARED = ("default", "kube-system", "kube-public", "kube-node-lease")
"""Namespaces that every cluster has, and in which others may live."""


def _refuse_what_is_no_namespace(key: str, name: str) -> None:
    if re.fullmatch(NAMESPACE, name):
        return
    fitting = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].strip("-")
    raise Refused(
        key,
        "is not what a namespace can be called",
        given=name,
        allowed="up to 63 lower-case letters, digits and hyphens, no hyphen at an end",
        cure=fitting or "mlflow",
    )


@settings
class NamespaceSettings:
    """Where everything lives. Stacks that share a cluster share neither of the two."""

    serving: str = "mlflow"
    """Namespace of the server, its database and its object store."""
    training: str = "mlflow-training"
    """Namespace of training Jobs."""
    create: bool = True
    """Whether `pulumi up` makes them and `pulumi destroy` deletes them. With `false` they exist
    already and hold nothing else: whatever this program does not open in them is closed."""

    def __post_init__(self) -> None:
        for key, name in (("serving", self.serving), ("training", self.training)):
            _refuse_what_is_no_namespace(key, name)
            if name in SHARED:
                raise Refused(
                    key,
                    "is where others live too, and what is not opened in it would be closed",
                    given=name,
                    allowed=f"any namespace but {', '.join(SHARED)}",
                    cure="mlflow" if key == "serving" else "mlflow-training",
                )
        if self.serving == self.training:
            raise Refused(
                "training",
                "is the server's namespace, and whoever starts Jobs in it could read its Secrets",
                given=self.training,
                allowed="another namespace than namespaces.serving",
                cure=f"{self.serving[:54]}-training",
            )


@settings
class ExternalDatabaseSettings:
    """A Postgres that somebody else runs, in the place of the one in the cluster."""

    secret: Annotated[str, Field(min_length=1, examples=["mlflow-database"])]
    """Name of a Secret in the serving namespace, with two SQLAlchemy URLs:
    `postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE`. `owner-url` is of the role that owns the
    schema, for the migration; `runtime-url` of the servers' role. They may be the same."""
    runtime_role: Name | None = None
    """Role of `runtime-url`, to be given rights on rows; left out where it is the owner."""
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    """Port that the pods may call. Behind a Service of this cluster it is its pods' port."""


@settings
class ExternalArtifactsSettings:
    """A bucket that somebody else keeps, in the place of the object store in the cluster."""

    url: Annotated[str, Field(examples=["s3://mlflow/artifacts"])]
    """Bucket and prefix: `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`."""
    secret: Annotated[str, Field(min_length=1, examples=["mlflow-artifacts"])]
    """Name of a Secret in the serving namespace. For `s3://` it has the keys `AWS_ACCESS_KEY_ID`
    and `AWS_SECRET_ACCESS_KEY`, for `gs://` the key `credentials.json`."""
    endpoint: str | None = None
    """Address of Ceph, MinIO or another store with the protocol of S3; by default Amazon's."""
    region: Name | None = None
    """Region of the bucket, where the store has regions."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port that the pods may call, by default the endpoint's. Behind a Service of this cluster it
    is its pods' port."""

    def __post_init__(self) -> None:
        scheme, _, rest = self.url.partition("://")
        if scheme not in ("s3", "gs") or not re.fullmatch(
            r"[a-z0-9][a-z0-9._-]+(/[^\s?#]*)?", rest
        ):
            raise Refused(
                "url",
                "is not the address of a bucket",
                given=self.url,
                allowed="s3://BUCKET/PREFIX or gs://BUCKET/PREFIX",
                cure="s3://mlflow/artifacts",
            )
        for key in ("endpoint", "region", "port") if scheme == "gs" else ():
            if (given := getattr(self, key)) is not None:
                raise Refused(
                    key,
                    "belongs to s3://, and the bucket is Google's",
                    given=given,
                    allowed="nothing beside a gs:// bucket",
                    cure="leave it out",
                )
        if self.port is not None and self.endpoint is None:
            raise Refused(
                "port",
                "is of an endpoint, and Amazon's is always 443",
                given=self.port,
                allowed="a port beside externalArtifacts.endpoint",
                cure="leave it out",
            )
        if self.endpoint is not None:
            _endpoint(self.endpoint)

    @property
    def calls(self) -> int | None:
        """The port of an endpoint of one's own."""
        if self.endpoint is None:
            return None
        address = urlsplit(self.endpoint)
        return self.port or address.port or (443 if address.scheme == "https" else 80)


def _endpoint(endpoint: str) -> None:
    """Refuse what is not the address of a server alone."""
    if re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?", endpoint):
        return
    bare = re.search(r"([A-Za-z0-9.-]+(:\d{1,5})?)", endpoint.partition("://")[2] or endpoint)
    scheme = "http" if endpoint.startswith("http://") else "https"
    raise Refused(
        "endpoint",
        "is not the address of a server",
        given=endpoint,
        allowed="http://HOST:PORT or https://HOST, nothing after it",
        cure=f"{scheme}://{bare[1]}" if bare else "https://s3.example.com",
    )


@settings
class ClusterServerSettings:
    """The tracking server's pods."""

    engine: Engine = "tuned"
    """`stock` steps back to plain `mlflow server`, which takes more memory and more CPU."""
    size: Literal["small", "medium", "large"] = "small"
    """Workers, connections, CPU and memory of one pod in one word, as on every other platform."""
    replicas: Annotated[int, Field(ge=1, le=50)] = 1
    """Pods that always run. Two or more survive the loss of a node."""
    max_replicas: Annotated[int, Field(ge=1, le=50)] | None = None
    """Pods that the autoscaler may run when the CPU is busy; it needs `metrics-server` in the
    cluster. By default as many as `replicas`, and no autoscaler."""
    metrics_from: tuple[Name, ...] = ()
    """Namespaces from which Prometheus may read, without a login, how many requests each pod has
    answered and how fast: at port 9464. By default nobody may, and no pod counts."""

    def __post_init__(self) -> None:
        if self.metrics_from and self.engine == "stock":
            raise Refused(
                "metricsFrom",
                "asks for what plain MLflow does not count",
                given=list(self.metrics_from),
                allowed="with server.engine: tuned",
                cure="leave it out, or take the tuned engine",
            )
        for number, namespace in enumerate(self.metrics_from):
            _refuse_what_is_no_namespace(f"metricsFrom[{number}]", namespace)
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise Refused(
                "maxReplicas",
                f"is less than server.replicas, {self.replicas}",
                given=self.max_replicas,
                allowed=f"{self.replicas} to 50",
                cure=str(self.replicas),
            )

    @property
    def chosen(self) -> Size:
        """The size, with the pods counted."""
        return replace(
            SIZES[self.size],
            min_replicas=self.replicas,
            max_replicas=self.max_replicas or self.replicas,
        )


@settings
class ClusterAccessSettings:
    """How people and programs reach the server: in the cluster, and through a tunnel."""

    port: Annotated[int, Field(ge=1024, le=65535)] = 5055
    """The laptop's end of the tunnel. Stacks whose tunnels are open at once have different ones."""
    people: tuple[Name, ...] = ()
    """Users, as the cluster knows them, who may open the tunnel and submit training Jobs, and no
    more. Whoever administers the cluster may do both anyway."""
    auth: Auth = "none"
    """`basic`: whoever calls the server has a user and a password there. `none`: whoever reaches it
    may do everything."""
    login: LoginSettings | None = None
    """What users may do; only with `auth: basic`."""

    def __post_init__(self) -> None:
        login.refuse(self.auth, self.login)


@settings
class Stack:
    """Everything a stack on Kubernetes may choose."""

    stack: Annotated[SkipJsonSchema[str], Field(alias="pulumi:stack")]
    """The Pulumi stack's own name: not a key of the stack file, `config` fills it in."""
    platform: Literal["kubernetes"]
    """What `pulumi up` builds: everything in a cluster that exists already."""
    context: Annotated[str, Field(min_length=1, examples=["MY-CONTEXT"])]
    """Which cluster: a context of the kubeconfig (`kubectl config get-contexts`). It has to be
    said, so that nothing goes to whichever happens to be current."""
    kubeconfig: Name | None = None
    """Path of the kubeconfig, relative to the project. By default what `kubectl` reads:
    `$KUBECONFIG`, or `~/.kube/config`."""
    protect_data: bool = True
    """Whether the volumes, their passwords and the serving namespace refuse to be deleted."""
    allow_data_loss: str | None = None
    """The stack's name, said again by whoever takes the protection off a production stack."""
    namespaces: NamespaceSettings = field(default_factory=NamespaceSettings)
    database: PostgresSettings | None = None
    """Postgres in the cluster. It is there without this section too, with the defaults below."""
    external_database: ExternalDatabaseSettings | None = None
    """A Postgres that somebody else runs, instead."""
    object_store: ObjectStoreSettings | None = None
    """VersityGW in the cluster. It is there without this section too, with the defaults below."""
    external_artifacts: ExternalArtifactsSettings | None = None
    """A bucket that somebody else keeps, instead."""
    images: ClusterImagesSettings = field(default_factory=ClusterImagesSettings)
    server: ClusterServerSettings = field(default_factory=ClusterServerSettings)
    access: ClusterAccessSettings = field(default_factory=ClusterAccessSettings)
    ray_operator: bool = False
    """Whether Ray's operator is installed for the namespace of training, so that a search may take
    many machines. Who runs `up` needs the right to make custom resource definitions."""

    def __post_init__(self) -> None:
        if refusals := list(self._refusals()):
            raise AllRefused(refusals)

    @property
    def kubeconfig_path(self) -> str | None:
        """The kubeconfig, absolute; nothing for `kubectl`'s own."""
        if self.kubeconfig is None:
            return None
        return str(PROJECT / Path(self.kubeconfig).expanduser())

    @property
    def cluster(self) -> str:
        """What the tool that made the cluster calls it."""
        return self.context.removeprefix("kind-") if self.images.load == "kind" else self.context

    @property
    def size(self) -> Size:
        """The server's, with the connections that logins take."""
        return self.server.chosen.with_logins(self.server.engine, self.access.auth)

    def _refusals(self) -> Iterator[Refused]:
        yield from protection.said_twice(
            self.stack, protect=self.protect_data, said=self.allow_data_loss
        )
        yield from self._instead()
        yield from self._secrets()
        yield from self._loading()

    def _instead(self) -> Iterator[Refused]:
        for inside, outside, key, instead in (
            (self.database, self.external_database, "database", "externalDatabase"),
            (self.object_store, self.external_artifacts, "objectStore", "externalArtifacts"),
        ):
            if inside and outside:
                yield Refused(
                    instead,
                    f"takes the place of what {key} describes",
                    given=None,
                    allowed="one of the two sections",
                    cure="leave one of the two out",
                )

    def _secrets(self) -> Iterator[Refused]:
        """What exists before `up` needs a namespace that does."""
        if not self.namespaces.create:
            return
        named = {
            "externalDatabase.secret": self.external_database and self.external_database.secret,
            "externalArtifacts.secret": self.external_artifacts and self.external_artifacts.secret,
            "images.pullSecret": self.images.pull_secret,
        }
        for key, secret in named.items():
            if secret:
                yield Refused(
                    "namespaces.create",
                    f"would make the namespace in which the Secret of {key} has to be beforehand",
                    given=True,
                    allowed=f"false where {key} is set",
                    cure="false",
                )
                return

    def _loading(self) -> Iterator[Refused]:
        tool = self.images.load
        if tool is None and self.images.registry is None:
            by_name = (each for each in TOOLS if self.context.startswith(each))
            yield Refused(
                "images.load",
                "is not set, and neither is images.registry, so no node would find an image",
                given=None,
                allowed=f"{', '.join(TOOLS)}, or a registry at images.registry",
                cure=next(by_name, "write a registry that the nodes pull from at images.registry"),
            )
        elif tool == "kind" and not re.fullmatch(r"kind-.+", self.context):
            yield Refused(
                "context",
                "is not of a kind cluster, and images.load hands the images to one",
                given=self.context,
                allowed="kind-NAME, as `kind create cluster --name NAME` calls it",
                cure="kind-kind",
            )
        elif tool == "docker-desktop" and self.context != tool:
            yield Refused(
                "context",
                "is not Docker Desktop's cluster, and images.load expects its images there",
                given=self.context,
                allowed=tool,
                cure=tool,
            )
