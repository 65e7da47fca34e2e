"""Networks."""

from collections.abc import Callable

from ..kind import Kind
from ..kind import replaced_by as replaced
from ..refusal import google
from ..thing import Thing
from ..wire import Inputs
from ..world import World
from .place import address, digits, link, project

NETWORK = "gcp:compute/network:Network"
SUBNETWORK = "gcp:compute/subnetwork:Subnetwork"
ADDRESS = "gcp:compute/globalAddress:GlobalAddress"
ROUTER = "gcp:compute/router:Router"
NAT = "gcp:compute/routerNat:RouterNat"
FIREWALL = "gcp:compute/firewall:Firewall"
API = "compute.googleapis.com"

Naming = Callable[[World, Inputs], str]


def _global(collection: str) -> Naming:
    return lambda world, i: f"projects/{project(world, i)}/global/{collection}/{i['name']}"


def _regional(collection: str) -> Naming:
    return lambda world, i: (
        f"projects/{project(world, i)}/regions/{i['region']}/{collection}/{i['name']}"
    )


def _linked(id: Naming) -> Callable[[World, Inputs], Inputs]:
    def computed(world: World, inputs: Inputs) -> Inputs:
        path = id(world, inputs)
        return {
            "project": project(world, inputs),
            "selfLink": link("compute", path),
            "creationTimestamp": "2026-01-01T00:00:00.000-08:00",
        }

    return computed


def _network_in_use(world: World, network: Thing) -> None:
    if network.id in world.peerings:
        raise google(
            400,
            f"The network resource '{network.id}' is already being used by its peering "
            "'servicenetworking-googleapis-com', resourceInUseByAnotherResource",
        )


NETWORK_ID, SUBNETWORK_ID = _global("networks"), _regional("subnetworks")
ADDRESS_ID, ROUTER_ID, FIREWALL_ID = (
    _global("addresses"),
    _regional("routers"),
    _global("firewalls"),
)

KINDS = (
    Kind(
        token=NETWORK,
        id=NETWORK_ID,
        seconds=12,  # a global compute operation
        seconds_to_delete=25,
        api=API,
        replaced_by=replaced("name", "description", "autoCreateSubnetworks", "networkProfile"),
        computed=lambda world, i: {
            **_linked(NETWORK_ID)(world, i),
            "networkId": digits(i["name"]),
            "gatewayIpv4": "",
        },
        release=_network_in_use,
    ),
    Kind(
        token=SUBNETWORK,
        id=SUBNETWORK_ID,
        seconds=15,  # a regional compute operation
        seconds_to_delete=20,
        api=API,
        replaced_by=replaced("name", "network", "region", "ipCidrRange", "purpose", "description"),
        references={"network": NETWORK},
        computed=lambda world, i: {
            **_linked(SUBNETWORK_ID)(world, i),
            "gatewayAddress": i["ipCidrRange"].rsplit(".", 1)[0] + ".1",
        },
    ),
    Kind(
        token=ADDRESS,
        id=ADDRESS_ID,
        seconds=5,  # a reservation only
        api=API,
        replaced_by=replaced(
            "name", "address", "addressType", "network", "prefixLength", "purpose", "ipVersion"
        ),
        references={"network": NETWORK},
        computed=lambda world, i: {
            **_linked(ADDRESS_ID)(world, i),
            "address": i.get("address") or address(digits(i["name"])),
        },
    ),
    Kind(
        token=ROUTER,
        id=ROUTER_ID,
        seconds=12,  # a regional compute operation
        api=API,
        replaced_by=replaced("name", "network", "region"),
        references={"network": NETWORK},
        computed=_linked(ROUTER_ID),
    ),
    Kind(
        token=NAT,
        id=lambda world, i: f"{project(world, i)}/{i['region']}/{i['router']}/{i['name']}",
        seconds=12,  # an update of its router
        api=API,
        replaced_by=replaced("name", "router", "region"),
        references={"router": ROUTER, "subnetworks.name": SUBNETWORK},
        computed=lambda world, i: {"project": project(world, i)},
    ),
    Kind(
        token=FIREWALL,
        id=FIREWALL_ID,
        seconds=10,  # a global compute operation
        api=API,
        replaced_by=replaced("name", "network", "direction"),
        references={"network": NETWORK},
        computed=_linked(FIREWALL_ID),
    ),
)
