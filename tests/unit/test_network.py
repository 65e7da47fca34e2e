import pytest

from components.network import Network, NetworkArgs, NetworkSettings
from settings import Refused

CONNECTION = "gcp:servicenetworking/connection:Connection"
NAT = "gcp:compute/routerNat:RouterNat"
SUBNETWORK = "gcp:compute/subnetwork:Subnetwork"


@pytest.fixture
def network(site, apis):
    def build(**chosen):
        args = NetworkArgs(site=site, apis=apis(), settings=NetworkSettings(**chosen))
        return Network("mlflow-dev", args)

    return build


def test_the_stack_has_a_network_of_its_own(deploy, network):
    only = deploy(network).one("gcp:compute/network:Network").inputs

    assert only["autoCreateSubnetworks"] is False


def test_the_ranges_are_those_of_the_stack_file(deploy, network):
    record = deploy(
        lambda: network(
            nodes="10.1.0.0/24", pods="10.2.0.0/16", services="10.3.0.0/24", peering="10.4.8.0/22"
        )
    )
    subnetwork = record.one(SUBNETWORK).inputs
    peering = record.one("gcp:compute/globalAddress:GlobalAddress").inputs

    assert subnetwork["ipCidrRange"] == "10.1.0.0/24"
    assert subnetwork["secondaryIpRanges"] == [
        {"rangeName": "pods", "ipCidrRange": "10.2.0.0/16"},
        {"rangeName": "services", "ipCidrRange": "10.3.0.0/24"},
    ]
    assert (peering["address"], peering["prefixLength"]) == ("10.4.8.0", 22)
    assert peering["labels"]["stack"] == "dev"


def test_machines_without_public_addresses_reach_google_and_the_internet(deploy, network):
    record = deploy(network)

    assert record.one(SUBNETWORK).inputs["privateIpGoogleAccess"] is True
    nat = record.one(NAT).inputs
    assert nat["sourceSubnetworkIpRangesToNat"] == "ALL_SUBNETWORKS_ALL_IP_RANGES"


def test_only_the_database_waits_for_the_private_connection(deploy, network, taker):
    def build():
        built = network()
        taker("database", built.peered)
        taker("cluster", built.subnetwork)

    record = deploy(build)
    connection = record.one(CONNECTION)

    assert record.waits_for(record.one(taker.type, "database"), connection)
    assert not record.waits_for(record.one(taker.type, "cluster"), connection)


def test_nobody_waits_for_the_way_out(deploy, network, taker):
    record = deploy(lambda: taker("cluster", network().subnetwork))

    assert not record.waits_for(record.one(taker.type), record.one(NAT))


def test_the_private_connection_waits_for_its_api(deploy, network):
    record = deploy(network)
    api = record.one("gcp:projects/service:Service", "apis-servicenetworking")

    assert record.waits_for(record.one(CONNECTION), api)
    assert not record.waits_for(record.one(SUBNETWORK), api)


def test_the_private_connection_can_be_deleted_although_google_still_uses_it(deploy, network):
    assert deploy(network).one(CONNECTION).inputs["deletionPolicy"] == "REMOVE_PEERING"


@pytest.mark.parametrize(
    ("chosen", "key", "why", "cure"),
    [
        ({"nodes": "10.10.0.0"}, "nodes", "one address", "10.10.0.0/20"),
        ({"nodes": "10.10.0.9/20"}, "nodes", "not how Google writes", "10.10.0.0/20"),
        ({"nodes": "ten"}, "nodes", "not an IPv4 range", "10.10.0.0/20"),
        ({"pods": "fd00::/48"}, "pods", "not an IPv4 range", "10.64.0.0/14"),
        ({"pods": "8.0.0.0/8"}, "pods", "not private", "10.64.0.0/14"),
        ({"pods": "10.64.0.0/22"}, "pods", "1024 addresses, too few", "10.64.0.0/14"),
        ({"peering": "10.12.0.0/25"}, "peering", "128 addresses, too few", "10.12.0.0/20"),
        ({"services": "172.17.4.0/22"}, "services", "Cloud SQL uses", "10.11.0.0/20"),
        ({"pods": "10.0.0.0/9"}, "pods", "overlaps nodes, 10.10.0.0/20", "10.128.0.0/9"),
        ({"peering": "10.64.0.0/20"}, "peering", "overlaps pods, 10.64.0.0/14", "10.0.0.0/20"),
    ],
)
def test_ranges_that_cannot_work_are_refused(chosen, key, why, cure):
    with pytest.raises(Refused, match=why) as refused:
        NetworkSettings(**chosen)

    assert (refused.value.key, refused.value.cure) == (key, cure)
    assert refused.value.given == chosen[key]


def test_a_range_that_is_proposed_is_accepted():
    with pytest.raises(Refused) as refused:
        NetworkSettings(pods="10.0.0.0/9")

    NetworkSettings(pods=refused.value.cure)
