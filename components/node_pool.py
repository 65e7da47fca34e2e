"""A pool of equal machines that grows and shrinks with what is to run on it."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

import pulumi
import pulumi_gcp as gcp
from pulumi import Input, Resource, ResourceOptions
from pydantic import Field

from settings import Refused, settings

from .site import Site

MAX_CPUS = {
    "nvidia-tesla-t4": {1: 48, 2: 48, 4: 96},
    "nvidia-tesla-v100": {1: 12, 2: 24, 4: 48, 8: 96},
}
"""GPUs that can be added to N1 machines and run current RAPIDS: how many, and CPUs beside them."""

UNFIT = {
    "nvidia-tesla-p100": "RAPIDS dropped it in 24.02: it has compute capability 6.0, 7.0 is needed",
    "nvidia-tesla-p4": "RAPIDS dropped it in 24.02: it has compute capability 6.1, 7.0 is needed",
    "nvidia-tesla-k80": "Google has withdrawn it, and RAPIDS needs compute capability 7.0",
}

N1_CPUS = (1, 2, 4, 8, 16, 32, 64, 96)

N1 = re.compile(
    rf"(?P<family>n1-standard|n1-highmem|n1-highcpu)-(?P<cpus>{'|'.join(map(str, N1_CPUS))})"
    r"|(?:n1-)?custom-(?P<custom>\d+)-\d+"
)
"""Machine types that GPUs can be added to, with their number of CPUs."""

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""Of a machine's own token. The account's roles are what limits it."""

GPU_DISK_GB = 50
"""A training image with RAPIDS unpacks to about 20 GB, and two versions meet during an update."""


@settings
class AcceleratorSettings:
    """The GPUs of each node."""

    type: str = "nvidia-tesla-t4"
    """`nvidia-tesla-t4` or `nvidia-tesla-v100`, as Google calls them."""
    count: int = 1
    """GPUs per node."""
    driver: Literal["default", "latest"] = "default"
    """Which NVIDIA driver GKE installs: the default of the node's version, or the newest."""

    def __post_init__(self) -> None:
        known = ", ".join(MAX_CPUS)
        if self.type not in MAX_CPUS:
            why = UNFIT.get(self.type, "is not a GPU that can be added to N1 machines")
            cure = "nvidia-tesla-t4"
            raise Refused("type", why, given=self.type, allowed=known, cure=cure)
        counts = list(MAX_CPUS[self.type])
        if self.count not in counts:
            raise Refused(
                "count",
                "Google adds GPUs in powers of two",
                given=self.count,
                allowed=f"{', '.join(map(str, counts))} with {self.type}",
                cure=str(max((c for c in counts if c < self.count), default=counts[0])),
            )


@settings
class NodePoolSettings:
    """Machines, and how many of them."""

    machine_type: str = "e2-standard-4"
    """Machine type. GPUs need an N1."""
    min_nodes: Annotated[int, Field(ge=0, le=1000)] = 0
    """Nodes that always run, in all zones together."""
    max_nodes: Annotated[int, Field(ge=1, le=1000)] = 10
    """Nodes that may run at once, in all zones together."""
    zones: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Zones of the nodes. By default all of the stack's; with a zonal cluster, CPUs in one."""
    spot: bool = False
    """Machines at a fraction of the price, which Google takes back when it needs them."""
    disk_type: Literal["pd-standard", "pd-balanced", "pd-ssd"] = "pd-balanced"
    """Kind of boot disk. The last two count towards the quota SSD_TOTAL_GB."""
    disk_gb: Annotated[int, Field(ge=20, le=65536)] = 100
    """Size of the boot disk, which holds images, logs and scratch files."""
    max_pods_per_node: Annotated[int, Field(ge=8, le=256)] = 110
    """Each node takes twice as many addresses of the pod range, rounded up to a power of two."""
    max_surge: Annotated[int, Field(ge=0, le=20)] | None = None
    """Nodes that an upgrade may add for a while. By default 1; 0 with GPUs: quota is short."""
    max_unavailable: Annotated[int, Field(ge=0, le=20)] | None = None
    """Nodes that an upgrade may take away for a while. By default 0; 1 with GPUs."""
    accelerator: AcceleratorSettings | None = None
    """GPUs of each node; leave it out for a CPU pool."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z]\w*(-\w+)+", self.machine_type):
            raise Refused(
                "machineType",
                "is not a machine type",
                given=self.machine_type,
                allowed="such as e2-standard-4 or n1-standard-8",
                cure="n1-standard-4" if self.accelerator else "e2-standard-4",
            )
        if self.min_nodes > self.max_nodes:
            raise Refused(
                "minNodes",
                f"is more than maxNodes, {self.max_nodes}",
                given=self.min_nodes,
                allowed=f"0 to {self.max_nodes}",
                cure=str(self.max_nodes),
            )
        if self.surge == (0, 0):
            raise Refused(
                "maxSurge",
                "with maxUnavailable 0 as well, an upgrade could not change a single node",
                given=0,
                allowed="1 or more, or a maxUnavailable of 1 or more",
                cure="1",
            )
        if self.accelerator:
            self._check_gpu_machine(self.accelerator)

    def _check_gpu_machine(self, gpu: AcceleratorSettings) -> None:
        most = MAX_CPUS[gpu.type][gpu.count]
        largest = max(cpus for cpus in N1_CPUS if cpus <= most)
        machine = N1.fullmatch(self.machine_type)
        if not machine:
            raise Refused(
                "machineType",
                "GPUs can be added to N1 machines only",
                given=self.machine_type,
                allowed=f"n1-standard-1 to n1-standard-{largest}, also n1-highmem and n1-highcpu",
                cure="n1-standard-4",
            )
        if int(machine["cpus"] or machine["custom"]) > most:
            raise Refused(
                "machineType",
                f"has more CPUs than Google allows beside {gpu.count} {gpu.type}",
                given=self.machine_type,
                allowed=f"up to {most} CPUs",
                cure=f"{machine['family'] or 'n1-standard'}-{largest}",
            )
        if self.disk_gb < GPU_DISK_GB:
            raise Refused(
                "diskGb",
                "a training image would fill the disk",
                given=self.disk_gb,
                allowed=f"{GPU_DISK_GB} or more with GPUs",
                cure="100",
            )

    @property
    def surge(self) -> tuple[int, int]:
        """Nodes that an upgrade adds and takes away at most."""
        gpu = self.accelerator is not None
        added = (0 if gpu else 1) if self.max_surge is None else self.max_surge
        gone = (1 if gpu else 0) if self.max_unavailable is None else self.max_unavailable
        return added, gone


@dataclass(frozen=True, kw_only=True)
class NodePoolArgs:
    """Wiring of a pool."""

    site: Site
    settings: NodePoolSettings
    cluster: Input[str]
    """Full name of the cluster, which contains its project and its location."""
    zones: tuple[str, ...]
    """Where the cluster has its nodes, unless the settings say otherwise."""
    account: Input[str]
    """E-mail address of the machines' own account."""


class NodePool(pulumi.ComponentResource):
    """Machines of one kind, between a minimum and a maximum; Google repairs and upgrades them."""

    machines: Resource
    """What pods wait for."""

    def __init__(self, name: str, args: NodePoolArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:gcp:NodePool", name, None, opts)
        settings, gpu = args.settings, args.settings.accelerator
        # GPUs are often sold out in one zone and to be had in the next.
        zones = settings.zones or (args.site.zones if gpu else args.zones)
        max_surge, max_unavailable = settings.surge

        # No explicit name, so that a replacement is there before the old pool goes.
        self.machines = gcp.container.NodePool(
            name,
            cluster=args.cluster,
            node_locations=list(zones),
            # Of each zone, while the limits below are of all zones together.
            initial_node_count=-(-settings.min_nodes // len(zones)) or None,
            autoscaling={
                "total_min_node_count": settings.min_nodes,
                "total_max_node_count": settings.max_nodes,
                "location_policy": "ANY" if gpu or settings.spot else "BALANCED",
            },
            management={"auto_repair": True, "auto_upgrade": True},
            upgrade_settings={
                "strategy": "SURGE",
                "max_surge": max_surge,
                "max_unavailable": max_unavailable,
            },
            max_pods_per_node=settings.max_pods_per_node,
            node_config={
                "machine_type": settings.machine_type,
                "image_type": "COS_CONTAINERD",
                "disk_type": settings.disk_type,
                "disk_size_gb": settings.disk_gb,
                "spot": settings.spot,
                "service_account": args.account,
                "oauth_scopes": [SCOPE],
                "resource_labels": args.site.labels,
                "workload_metadata_config": {"mode": "GKE_METADATA"},
                "shielded_instance_config": {
                    # NVIDIA's module is loaded after the verified boot.
                    "enable_secure_boot": gpu is None,
                    "enable_integrity_monitoring": True,
                },
                "guest_accelerators": [
                    {
                        "type": gpu.type,
                        "count": gpu.count,
                        "gpu_driver_installation_config": {
                            "gpu_driver_version": gpu.driver.upper()
                        },
                    }
                ]
                if gpu
                else None,
                # The very taint that GKE itself sets, and whose toleration it gives to GPU pods.
                "taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}]
                if gpu
                else None,
            },
            opts=ResourceOptions(
                parent=self,
                # Another minimum, or a resize by hand, would replace the pool.
                ignore_changes=["initialNodeCount"],
            ),
        )

        self.register_outputs({})
