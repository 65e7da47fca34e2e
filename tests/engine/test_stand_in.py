"""The stand-in itself: it must say no where Google does, or the other tests prove nothing."""

from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from .caller import Caller, Refused

NETWORK = "gcp:compute/network:Network"
SUBNETWORK = "gcp:compute/subnetwork:Subnetwork"
ADDRESS = "gcp:compute/globalAddress:GlobalAddress"
CONNECTION = "gcp:servicenetworking/connection:Connection"
INSTANCE = "gcp:sql/databaseInstance:DatabaseInstance"
BUCKET = "gcp:storage/bucket:Bucket"
ACCOUNT = "gcp:serviceaccount/account:Account"
ACCOUNT_MEMBER = "gcp:serviceaccount/iAMMember:IAMMember"
BUCKET_MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
CLUSTER = "gcp:container/cluster:Cluster"
POOL = "gcp:container/nodePool:NodePool"
SECRET = "kubernetes:core/v1:Secret"  # noqa: S105
JOB = "kubernetes:batch/v1:Job"

SQL = {
    "name": "db",
    "region": "europe-west4",
    "databaseVersion": "POSTGRES_17",
    "deletionProtection": False,
    "settings": {
        "tier": "db-custom-1-3840",
        "edition": "ENTERPRISE",
        "ipConfiguration": {"ipv4Enabled": False, "privateNetwork": "net"},
    },
}
SUBNET = {"name": "sub", "network": "net", "region": "europe-west4", "ipCidrRange": "10.0.0.0/20"}
PEERING = {
    "network": "net",
    "service": "servicenetworking.googleapis.com",
    "reservedPeeringRanges": ["range"],
    "deletionPolicy": "REMOVE_PEERING",
}
CONTAINER = {
    "name": "c",
    "location": "europe-west4-a",
    "network": "net",
    "subnetwork": "sub",
    "deletionProtection": False,
    "workloadIdentityConfig": {"workloadPool": "p.svc.id.goog"},
}


@pytest.fixture
def google() -> Caller:
    caller = Caller()
    caller.enable("compute", "container", "iam", "servicenetworking", "sqladmin")
    return caller


def network(google: Caller) -> None:
    google.create(NETWORK, {"name": "net"})
    google.create(SUBNETWORK, SUBNET)


def private_sql(google: Caller, **changes: Any) -> None:
    network(google)
    google.create(ADDRESS, {"name": "range", "network": "net"})
    google.create(CONNECTION, {**PEERING, **changes})
    google.create(INSTANCE, SQL)


@pytest.mark.parametrize(
    ("path", "reason", "change"),
    [
        ("settings.teir", "Invalid or unknown key", {"settings": {**SQL["settings"], "teir": "x"}}),
        ("settings.tier", "required", {"settings": {"edition": "ENTERPRISE"}}),
        ("settings", "expected object type, got 'small'", {"settings": "small"}),
        ("deletionProtection", "expected bool type, got 'no'", {"deletionProtection": "no"}),
        ("region", "None", {"region": "projects/None/regions/europe-west4"}),
    ],
)
def test_inputs_that_the_sdk_does_not_declare_are_refused(google, path, reason, change):
    (failure,) = google.check(INSTANCE, {**SQL, **change})

    assert failure[0] == path
    assert reason in failure[1]


def test_a_manifest_that_the_api_server_would_refuse_is_refused(google):
    service = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": "http"}]}}

    assert google.check("kubernetes:core/v1:Service", service)


def test_a_type_that_nobody_described_is_refused(google):
    with pytest.raises(Refused, match="does not know gcp:pubsub"):
        google.create("gcp:pubsub/topic:Topic", {"name": "t"})


def test_an_api_must_be_enabled_first(google):
    with pytest.raises(Refused, match="artifactregistry.googleapis.com has not been used"):
        google.create(
            "gcp:artifactregistry/repository:Repository",
            {"repositoryId": "gcr.io", "location": "us", "format": "DOCKER"},
        )


def test_a_name_that_is_taken_is_refused(google):
    google.create(BUCKET, {"name": "artifacts", "location": "EU"})

    with pytest.raises(Refused, match="already exists"):
        google.create(BUCKET, {"name": "artifacts", "location": "US"})


def test_the_name_of_a_deleted_sql_instance_stays_taken(google):
    private_sql(google)
    google.delete(INSTANCE, "db")

    with pytest.raises(Refused, match="one week"):
        google.create(INSTANCE, SQL)


def test_a_subnet_needs_its_network(google):
    with pytest.raises(Refused, match="'net' .* was not found"):
        google.create(SUBNETWORK, SUBNET)


def test_a_private_sql_instance_needs_the_connection(google):
    network(google)

    with pytest.raises(Refused, match="SERVICE_NETWORKING_NOT_ENABLED"):
        google.create(INSTANCE, SQL)


def test_a_tier_must_fit_the_edition(google):
    plain = {**SQL, "settings": {"tier": "db-custom-1-3840"}}

    with pytest.raises(Refused, match="Invalid Tier"):
        google.create(INSTANCE, plain)


@pytest.mark.parametrize(
    "member",
    ["serviceAccount:nobody@p.iam.gserviceaccount.com", "serviceAccount:p.svc.id.goog[mlflow/t]"],
)
def test_a_grant_to_somebody_who_does_not_exist_is_refused(google, member):
    google.create(BUCKET, {"name": "artifacts", "location": "EU"})
    grant = {"bucket": "artifacts", "role": "roles/storage.objectUser", "member": member}

    with pytest.raises(Refused, match="does not exist"):
        google.create(BUCKET_MEMBER, grant)


def test_the_workload_pool_comes_with_the_first_cluster(google):
    network(google)
    account = google.create(ACCOUNT, {"accountId": "tracking"})
    grant = {
        "serviceAccountId": account["name"],
        "role": "roles/iam.workloadIdentityUser",
        "member": "serviceAccount:p.svc.id.goog[mlflow/tracking]",
    }
    google.create(CLUSTER, CONTAINER)

    assert google.create(ACCOUNT_MEMBER, grant)["member"] == grant["member"]


@pytest.mark.parametrize(
    ("token", "id"),
    [
        (NETWORK, "projects/p/global/networks/net"),
        (SUBNETWORK, "projects/p/regions/europe-west4/subnetworks/sub"),
    ],
)
def test_what_a_cluster_uses_cannot_be_deleted(google, token, id):
    network(google)
    google.create(CLUSTER, CONTAINER)

    with pytest.raises(Refused, match="already being used by"):
        google.delete(token, id)


def test_the_peering_goes_after_sql_and_the_network_after_the_peering(google):
    private_sql(google)
    peering = "net:servicenetworking.googleapis.com"

    with pytest.raises(Refused, match="still using this connection"):
        google.delete(CONNECTION, peering)
    google.delete(INSTANCE, "db")
    google.delete(CONNECTION, peering)


@pytest.mark.parametrize(
    ("policy", "refusal"),
    [("DELETE", "still using"), ("ABANDON", "already being used by .net:servicenetworking")],
)
def test_other_ways_to_delete_the_peering_leave_something_in_the_way(google, policy, refusal):
    private_sql(google, deletionPolicy=policy)
    google.delete(INSTANCE, "db")

    def take_down() -> None:
        google.delete(CONNECTION, "net:servicenetworking.googleapis.com")
        google.delete(ADDRESS, "projects/p/global/addresses/range")
        google.delete(SUBNETWORK, "projects/p/regions/europe-west4/subnetworks/sub")
        google.delete(NETWORK, "projects/p/global/networks/net")

    with pytest.raises(Refused, match=refusal):
        take_down()


@pytest.mark.parametrize(
    ("guards", "refusal"),
    [
        ({}, "deletion_protection is set to true"),
        (
            {
                "deletionProtection": False,
                "settings": {**SQL["settings"], "deletionProtectionEnabled": True},
            },
            "The instance is protected",
        ),
    ],
)
def test_each_guard_of_a_sql_instance_holds_alone(google, guards, refusal):
    network(google)
    google.create(ADDRESS, {"name": "range", "network": "net"})
    google.create(CONNECTION, PEERING)
    unguarded = {key: value for key, value in SQL.items() if key != "deletionProtection"}
    google.create(INSTANCE, {**unguarded, **guards})

    with pytest.raises(Refused, match=refusal):
        google.delete(INSTANCE, "db")


def test_a_bucket_with_objects_in_it_stays(google):
    google.create(BUCKET, {"name": "artifacts", "location": "EU"})
    google.cloud.world.objects["artifacts"] = 3

    with pytest.raises(Refused, match="force_destroy"):
        google.delete(BUCKET, "artifacts")


def test_objects_cannot_be_reached_without_their_cluster(google):
    with pytest.raises(Refused, match="unreachable"):
        google.delete(SECRET, "mlflow/owner")


@pytest.mark.parametrize(
    ("token", "old", "new", "replaces"),
    [
        (INSTANCE, {"settings": {"tier": "a"}}, {"settings": {"tier": "b"}}, []),
        (INSTANCE, {"region": "a"}, {"region": "b"}, ["region"]),
        (POOL, {"autoscaling": {"maxNodeCount": 1}}, {"autoscaling": {"maxNodeCount": 9}}, []),
        (POOL, {"nodeConfig": {"spot": False}}, {"nodeConfig": {"spot": True}}, ["nodeConfig"]),
        (POOL, {"nodeConfig": {"labels": {}}}, {"nodeConfig": {"labels": {"a": "b"}}}, []),
        (CLUSTER, {"datapathProvider": "a"}, {"datapathProvider": "b"}, ["datapathProvider"]),
        (SECRET, {"stringData": {"a": "b"}}, {"stringData": {"a": "c"}}, ["stringData"]),
        (JOB, {"spec": {"template": 1}}, {"spec": {"template": 2}}, ["spec"]),
        (JOB, {"spec": {"backoffLimit": 1}}, {"spec": {"backoffLimit": 2}}, []),
    ],
)
def test_only_what_google_cannot_change_is_replaced(google, token, old, new, replaces):
    answer = google.diff(token, old, new)

    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert list(answer.replaces) == replaces
