"""The stack file of the GKE platform: its sections, and the rules between them."""

import re
from collections.abc import Iterator
from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from components.artifacts import ArtifactsSettings
from components.cluster import ClusterSettings
from components.database import DatabaseSettings
from components.images import ImagesSettings
from components.network import NetworkSettings
from components.node_pool import NodePoolSettings
from components.site import Site
from server.spec import Auth, LoginSettings, ServerSettings, Size
from settings import AllRefused, Refused, settings

from . import capacity, google_names, login, protection


@settings
class AccessSettings:
    """How people and programs reach the server."""

    mode: Literal["private"] = "private"
    """`private`: from inside the cluster, and from a laptop through a tunnel."""
    people: tuple[str, ...] = ()
    """E-mail addresses of those who may open the tunnel and submit training Jobs, and no more."""
    auth: Auth = "none"
    """`basic`: whoever calls the server has a user and a password there. `none`: whoever reaches it
    may do everything."""
    login: LoginSettings | None = None
    """What users may do; only with `auth: basic`."""

    def __post_init__(self) -> None:
        for index, person in enumerate(self.people):
            if not re.fullmatch(r"[^@\s:]+@[^@\s:]+\.[a-z]+", person):
                raise Refused(
                    f"people[{index}]",
                    f"{person} is not the e-mail address of a Google account",
                    given=person,
                    allowed="addresses such as ana@example.com",
                    cure="write the address alone, without `user:` before it",
                )
        login.refuse(self.auth, self.login)


@settings
class Stack:
    """Everything a stack on GKE may choose."""

    stack: Annotated[SkipJsonSchema[str], Field(alias="pulumi:stack")]
    """The Pulumi stack's own name: not a key of the stack file, `config` fills it in."""
    platform: Literal["gke"]
    """What `pulumi up` builds: GKE, Cloud SQL and a bucket on Google Cloud."""
    project: Annotated[str, Field(examples=["MY-PROJECT"])]
    """Id of the Google Cloud project, which has billing enabled."""
    region: Annotated[str, Field(examples=["europe-west4"])]
    """Region of everything, for example `europe-west4`."""
    zones: Annotated[tuple[str, ...], Field(min_length=1)]
    """Zones of the region that nodes may use; a zonal cluster's control plane is in the first."""
    name: Annotated[str, Field(min_length=1)] | None = None
    """What names in Google Cloud begin with; by default `mlflow-<stack>`."""
    labels: dict[str, str] = field(default_factory=dict)
    """Labels for everything that carries labels, beside `app`, `stack` and `managed-by`."""
    protect_data: bool = True
    """Whether cluster, database and bucket refuse to be deleted."""
    allow_data_loss: str | None = None
    """The stack's name, said again by whoever takes the protection off a production stack."""
    network: NetworkSettings = field(default_factory=NetworkSettings)
    """Address ranges."""
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    cpu_pool: NodePoolSettings = field(default_factory=NodePoolSettings)
    """Nodes of the server and of training without a GPU."""
    gpu_pool: NodePoolSettings | None = None
    """Nodes with GPUs; without this section there are none."""
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    artifacts: ArtifactsSettings = field(default_factory=ArtifactsSettings)
    images: ImagesSettings = field(default_factory=ImagesSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    access: AccessSettings = field(default_factory=AccessSettings)

    def __post_init__(self) -> None:
        if refusals := list(self._refusals()):
            raise AllRefused(refusals)

    @property
    def site(self) -> Site:
        """What every component is told first."""
        labels = {"app": "mlflow", "stack": google_names.label(self.stack), "managed-by": "pulumi"}
        return Site(
            project=self.project,
            region=self.region,
            zones=self.zones,
            name=self.name or f"mlflow-{self.stack}",
            labels={**self.labels, **labels},
            protect=self.protect_data,
        )

    @property
    def size(self) -> Size:
        """The server's, with the connections that logins take."""
        return self.server.chosen.with_logins(self.server.engine, self.access.auth)

    def _refusals(self) -> Iterator[Refused]:
        yield from google_names.project_id(self.project)
        yield from google_names.place(self.region, self.zones)
        yield from google_names.stack_name(self.site.name, self.project)
        yield from google_names.labels(self.labels)
        yield from protection.said_twice(
            self.stack, protect=self.protect_data, said=self.allow_data_loss
        )
        yield from self._pools()
        pools = [self.cpu_pool, *([self.gpu_pool] if self.gpu_pool else [])]
        yield from capacity.addresses(self.network, pools)
        yield from capacity.provisioned(self.cluster.node_auto_provisioning, self.gpu_pool)
        yield from capacity.server_nodes(self.cpu_pool, self.size)
        yield from capacity.connections(self.database, self.size)

    def _pools(self) -> Iterator[Refused]:
        cpu, gpu = self.cpu_pool, self.gpu_pool
        if self.cluster.location == "regional" and len(self.zones) == 1:
            yield Refused(
                "zones",
                "has one zone, and a regional cluster is there to survive the loss of one",
                given=list(self.zones),
                allowed="two or more zones, or cluster.location: zonal",
                cure="add a zone of the region",
            )
        if cpu.accelerator:
            yield Refused(
                "cpuPool.accelerator",
                "GKE keeps nodes with GPUs for pods that ask for one; the server does not",
                given=cpu.accelerator.type,
                allowed="GPUs in gpuPool only",
                cure="move it to gpuPool",
            )
        if gpu and not gpu.accelerator:
            yield Refused(
                "gpuPool.accelerator",
                "is not set",
                given=None,
                allowed="nvidia-tesla-t4 or nvidia-tesla-v100, or no gpuPool",
                cure="write `type: nvidia-tesla-t4` below it",
            )
        yield from google_names.zones_within(self.region, cpu.zones or (), "cpuPool.zones")
        if gpu:
            yield from google_names.zones_within(self.region, gpu.zones or (), "gpuPool.zones")
