"""The private connection between a network and Google's own services."""

from urllib.parse import quote

from ..kind import Kind
from ..kind import replaced_by as replaced
from ..refusal import RefusedError
from ..thing import Thing
from ..world import Visit, World
from . import compute

CONNECTION = "gcp:servicenetworking/connection:Connection"
INSTANCE = "gcp:sql/databaseInstance:DatabaseInstance"
NETWORK_OF_INSTANCE = "settings.ipConfiguration.privateNetwork"


def _peer(world: World, connection: Thing) -> None:
    network = world.find(compute.NETWORK, connection.inputs["network"])
    if network:
        world.peerings.add(network.id)


def _ranges(visit: Visit) -> None:
    for name in visit.inputs["reservedPeeringRanges"]:
        visit.need(compute.ADDRESS, name)


def _connection_in_use(world: World, connection: Thing) -> None:
    """Google's side holds on to a connection for days after the last instance is gone."""
    policy = connection.inputs.get("deletionPolicy")
    network = world.find(compute.NETWORK, connection.inputs["network"])
    if network is None:
        return
    ever_used = network.id in world.networks_of_instances
    in_use = any(True for _ in world.users(INSTANCE, NETWORK_OF_INSTANCE, network))
    if in_use or (ever_used and policy != "REMOVE_PEERING"):
        raise RefusedError(
            "Error waiting for Delete Service Networking Connection: Error code 9, message: "
            "Failed to delete connection; Producer services (e.g. CloudSQL, Cloud Memstore, "
            "etc.) are still using this connection."
        )


def _unpeer(world: World, connection: Thing) -> None:
    network = world.find(compute.NETWORK, connection.inputs["network"])
    if network:
        world.peerings.discard(network.id)


KINDS = (
    Kind(
        token=CONNECTION,
        id=lambda world, i: f"{quote(str(i['network']), safe='')}:{i['service']}",
        seconds=60,  # a peering made by Google's side
        seconds_to_delete=30,
        api="servicenetworking.googleapis.com",
        replaced_by=replaced("network", "service"),
        references={"network": compute.NETWORK},
        computed=lambda world, i: {"peering": "servicenetworking-googleapis-com"},
        admit=_ranges,
        created=_peer,
        release=_connection_in_use,
        deleted=_unpeer,
        auto_name=None,
    ),
)
