"""The network of nodes, pods and the database; nothing in it has a public address."""

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations

import pulumi
import pulumi_gcp as gcp
from pulumi import CustomTimeouts, Output, ResourceOptions

from settings import Refused, settings

from .after import after
from .services import Apis
from .site import Site

PODS, SERVICES = "pods", "services"
"""Names of the subnet's secondary ranges."""

SMALLEST = {"nodes": 29, "pods": 21, "services": 27, "peering": 24}
"""Prefix of the smallest range that can work: Google's limits, and eight nodes' worth of pods."""

PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""RFC 1918; Google reserves peering ranges nowhere else."""

DOCKER = ipaddress.IPv4Network("172.17.0.0/16")
"""The bridge on Cloud SQL's own machines: a database never answers a client in this range."""


@settings
class NetworkSettings:
    """Address ranges of the stack's own network. They are fixed once created."""

    nodes: str = "10.10.0.0/20"
    """Addresses of nodes, one each."""
    pods: str = "10.64.0.0/14"
    """Addresses of pods; a node for 110 pods takes 256 of them."""
    services: str = "10.11.0.0/20"
    """Addresses of Kubernetes services."""
    peering: str = "10.12.0.0/20"
    """Addresses that Google hands out to Cloud SQL."""

    def __post_init__(self) -> None:
        ranges = {key: _parsed(key, value) for key, value in vars(self).items()}
        for (first, a), (second, b) in combinations(ranges.items(), 2):
            if a.overlaps(b):
                raise Refused(
                    second,
                    f"overlaps {first}, {a}",
                    given=str(b),
                    allowed="four ranges without a common address",
                    cure=_free(b.prefixlen, ranges.values()),
                )


def _parsed(key: str, value: str) -> ipaddress.IPv4Network:
    """A range that Google takes, or a refusal."""
    smallest, cure = SMALLEST[key], str(getattr(NetworkSettings, key))
    try:
        network = ipaddress.IPv4Network(value, strict=False)
    except ValueError:
        why = "is not an IPv4 range"
    else:
        if "/" not in value:
            why = "is one address"
        elif str(network) != value:
            why, cure = "is not how Google writes that range", str(network)
        elif not any(network.subnet_of(block) for block in PRIVATE):
            why = "is not private"
        elif network.prefixlen > smallest:
            why = f"has {network.num_addresses} addresses, too few"
        elif network.overlaps(DOCKER):
            why = f"overlaps {DOCKER}, which Cloud SQL uses inside of its machines"
        else:
            return network
    allowed = f"a range of /{smallest} or larger in {', '.join(map(str, PRIVATE))}"
    raise Refused(key, why, given=value, allowed=allowed, cure=cure)


def _free(prefix: int, taken: Collection[ipaddress.IPv4Network]) -> str:
    """The first private range of a size that overlaps none of those taken."""
    candidates = (each for block in PRIVATE for each in block.subnets(new_prefix=prefix))
    return str(next(c for c in candidates if not any(c.overlaps(t) for t in taken)))


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Wiring of a network."""

    site: Site
    apis: Apis
    settings: NetworkSettings


class Network(pulumi.ComponentResource):
    """A network with one subnet, a way out for machines without public addresses, and a peering."""

    id: Output[str]
    subnetwork: Output[str]
    peered: Output[str]
    """The network again, given out once Cloud SQL may be created in it; nothing else needs that."""

    def __init__(self, name: str, args: NetworkArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:gcp:Network", name, None, opts)
        child = ResourceOptions(parent=self)
        project, region = args.apis["compute"], args.site.region

        network = gcp.compute.Network(
            name,
            project=project,
            auto_create_subnetworks=False,
            # GKE's controllers remove their last firewall rules minutes after their cluster.
            opts=ResourceOptions(parent=self, custom_timeouts=CustomTimeouts(delete="20m")),
        )
        subnetwork = gcp.compute.Subnetwork(
            name,
            project=project,
            region=region,
            network=network.id,
            ip_cidr_range=args.settings.nodes,
            secondary_ip_ranges=[
                {"range_name": PODS, "ip_cidr_range": args.settings.pods},
                {"range_name": SERVICES, "ip_cidr_range": args.settings.services},
            ],
            private_ip_google_access=True,  # Google's own services without a detour over the NAT
            opts=child,
        )
        router = gcp.compute.Router(
            name, project=project, region=region, network=network.id, opts=child
        )
        gcp.compute.RouterNat(
            name,
            project=project,
            region=region,
            router=router.name,
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="ALL_SUBNETWORKS_ALL_IP_RANGES",
            log_config={"enable": True, "filter": "ERRORS_ONLY"},
            opts=child,
        )
        peering = ipaddress.IPv4Network(args.settings.peering)
        reserved = gcp.compute.GlobalAddress(
            name,
            project=project,
            purpose="VPC_PEERING",
            address_type="INTERNAL",
            address=str(peering.network_address),
            prefix_length=peering.prefixlen,
            network=network.id,
            labels=args.site.labels,
            opts=child,
        )
        connection = gcp.servicenetworking.Connection(
            name,
            network=network.id,
            # A connection has no project that could make it wait for its API.
            service=args.apis["servicenetworking"].apply(
                lambda _: "servicenetworking.googleapis.com"
            ),
            reserved_peering_ranges=[reserved.name],
            # Google goes on using the connection for days after the last instance is gone.
            deletion_policy="REMOVE_PEERING",
            opts=child,
        )

        self.id = network.id
        self.subnetwork = subnetwork.id
        self.peered = after(network.id, connection)
        self.register_outputs({})
