"""What holds for every resource of every committed stack on Google Cloud, besides."""

import re

import pytest

CLUSTER = "gcp:container/cluster:Cluster"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
INSTANCE = "gcp:sql/databaseInstance:DatabaseInstance"
PEERING = "gcp:servicenetworking/connection:Connection"
POOL = "gcp:container/nodePool:NodePool"
BUCKET = "gcp:storage/bucket:Bucket"
BUILD = "pulumi-python:dynamic/images:Image"
PASSWORD = "canary-password"

LABELS = {
    "gcp:artifactregistry/repository:Repository": ("labels",),
    BUCKET: ("labels",),
    CLUSTER: ("resourceLabels",),
    "gcp:compute/globalAddress:GlobalAddress": ("labels",),
    POOL: ("nodeConfig", "resourceLabels"),
    INSTANCE: ("settings", "userLabels"),
}
"""Where each type of resource keeps its labels (Google has four spellings)."""

PROJECT_WIDE = {
    "roles/cloudsql.client": "Cloud SQL grants connecting on the project only",
    "roles/cloudsql.instanceUser": "the same, for the login by IAM",
    "roles/container.clusterViewer": "finding the cluster is a right on the project",
    "roles/container.defaultNodeServiceAccount": "Google's role for a node's own account",
    "roles/logging.logWriter": "a build without default buckets writes its log there",
}
"""Roles granted on the whole project, and why nothing narrower does."""


def test_every_resource_that_can_carry_labels_carries_the_stacks(on_google):
    for resource in on_google.resources:
        if resource.type not in LABELS:
            continue
        labels = resource.inputs
        for key in LABELS[resource.type]:
            labels = labels[key]
        assert labels.items() >= {"stack": on_google.stack, "managed-by": "pulumi"}.items(), (
            resource.name
        )


def test_the_servers_pods_hold_no_database_password(on_google):
    """Login by IAM: only the migration Job mounts the schema owner's password."""
    deployment = on_google.one(DEPLOYMENT).inputs
    secrets = {
        r.inputs.get("metadata", {}).get("name", r.name)
        for r in on_google.all("kubernetes:core/v1:Secret")
        if PASSWORD in repr(r.inputs)
    }
    if on_google.preview:
        return
    assert secrets
    assert [name for name in secrets if name in repr(deployment)] == []


def test_account_ids_are_what_google_accepts(on_google):
    ids = [r.inputs["accountId"] for r in on_google.all("gcp:serviceaccount/account:Account")]

    assert ids
    assert [i for i in ids if not re.fullmatch(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])", i)] == []


def test_no_account_has_a_key(on_google):
    assert on_google.all("gcp:serviceaccount/key:Key") == []
    assert on_google.all("gcp:storage/hmacKey:HmacKey") == []


def test_grants_are_additive(on_google):
    wiping = [
        r.urn for r in on_google.resources if re.search(r"IAM(Binding|Policy):", r.type, re.I)
    ]

    assert wiping == []


def test_nobody_is_owner_editor_or_admin(on_google):
    roles = [r.inputs["role"] for r in on_google.resources if "role" in r.inputs]
    broad = re.compile(r"roles/(owner|editor|.*\.admin|storage\.objectAdmin)$")

    assert roles
    assert [role for role in roles if isinstance(role, str) and broad.match(role)] == []


def test_a_grant_on_the_whole_project_has_a_reason(on_google):
    wide = {
        r.inputs["role"]
        for r in on_google.all("gcp:projects/iAMMember:IAMMember")
        if isinstance(r.inputs["role"], str) and not r.inputs["role"].startswith("projects/")
    }
    assert wide - PROJECT_WIDE.keys() == set()


def test_nothing_is_public(on_google):
    everything = repr([r.inputs for r in on_google.resources])

    assert "allUsers" not in everything
    assert "allAuthenticatedUsers" not in everything
    for bucket in on_google.all(BUCKET):
        assert bucket.inputs["publicAccessPrevention"] == "enforced", bucket.name
        assert bucket.inputs["uniformBucketLevelAccess"] is True, bucket.name
    assert on_google.one(INSTANCE).inputs["settings"]["ipConfiguration"]["ipv4Enabled"] is False


def test_gpu_pools_cost_nothing_while_nobody_trains(on_google):
    pools = [p for p in on_google.all(POOL) if "guestAccelerators" in p.inputs["nodeConfig"]]

    assert pools
    for pool in pools:
        scaling = pool.inputs["autoscaling"]
        assert scaling.get("totalMinNodeCount", scaling.get("minNodeCount")) == 0
        assert pool.inputs["nodeConfig"]["machineType"].startswith("n1-")


def test_what_holds_data_refuses_to_be_deleted_exactly_where_the_stack_says_so(on_google):
    protect = on_google.stack == "prod"
    cluster, instance = on_google.one(CLUSTER), on_google.one(INSTANCE)

    assert cluster.inputs["deletionProtection"] is protect
    assert instance.inputs["deletionProtection"] is protect
    assert instance.inputs["settings"]["deletionProtectionEnabled"] is protect
    assert {cluster.options.protect, instance.options.protect} == {protect}
    artifacts = [b for b in on_google.all(BUCKET) if "build" not in b.name]
    for bucket in artifacts:
        assert bucket.options.protect is protect
        assert bucket.inputs["forceDestroy"] is not protect


@pytest.mark.parametrize(
    ("later", "earlier"),
    [(CLUSTER, INSTANCE), (CLUSTER, PEERING), (INSTANCE, CLUSTER), (BUCKET, CLUSTER)],
)
def test_nothing_waits_for_what_it_does_not_need(on_google, later, earlier):
    waiting = [
        (a.name, b.name)
        for a in on_google.all(later)
        for b in on_google.all(earlier)
        if on_google.waits_for(a, b)
    ]
    assert waiting == []


def test_images_are_built_while_cluster_and_database_are_created(on_google):
    builds = on_google.all(BUILD)

    assert len(builds) == 2
    for build in builds:
        assert not on_google.waits_for(build, on_google.one(CLUSTER))
        assert not on_google.waits_for(build, on_google.one(INSTANCE))
