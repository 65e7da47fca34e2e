"""What holds for every resource of every committed stack, previewed and applied."""

import re
from collections import Counter
from dataclasses import fields

import pytest
from pydantic.alias_generators import to_camel

from platforms.handoff import Handoff

CLUSTER = "gcp:container/cluster:Cluster"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
INSTANCE = "gcp:sql/databaseInstance:DatabaseInstance"
JOB = "kubernetes:batch/v1:Job"
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


def test_preview_and_update_declare_the_same_resources(both):
    preview, update = both

    assert Counter(r.urn for r in preview.resources) == Counter(r.urn for r in update.resources)


def test_no_two_resources_share_a_name(program):
    twice = [urn for urn, n in Counter(r.urn for r in program.resources).items() if n > 1]

    assert twice == []


def test_the_outputs_are_the_hand_off(program):
    assert program.exports == {to_camel(field.name) for field in fields(Handoff)}


def test_every_resource_that_can_carry_labels_carries_the_stacks(program):
    for resource in program.resources:
        if resource.type not in LABELS:
            continue
        labels = resource.inputs
        for key in LABELS[resource.type]:
            labels = labels[key]
        assert labels.items() >= {"stack": program.stack, "managed-by": "pulumi"}.items(), (
            resource.name
        )


def test_generated_passwords_reach_only_what_needs_them(program):
    holders = {
        (r.type, key)
        for r in program.resources
        for key, value in r.inputs.items()
        if PASSWORD in repr(value)
    }
    assert holders <= {
        ("gcp:sql/user:User", "password"),
        ("kubernetes:core/v1:Secret", "stringData"),
    }
    assert program.preview or holders


def test_the_servers_pods_hold_no_database_password(program):
    """Login by IAM: only the migration Job mounts the schema owner's password."""
    deployment = program.one(DEPLOYMENT).inputs
    secrets = {
        r.inputs.get("metadata", {}).get("name", r.name)
        for r in program.all("kubernetes:core/v1:Secret")
        if PASSWORD in repr(r.inputs)
    }
    if program.preview:
        return
    assert secrets
    assert [name for name in secrets if name in repr(deployment)] == []


def test_every_kubernetes_object_goes_to_the_stacks_own_cluster(program):
    strays = [r.name for r in program.resources if r.type.startswith("kubernetes:")]
    providers = {r.provider for r in program.resources if r.type.startswith("kubernetes:")}

    assert strays
    assert len(providers) == 1
    assert "" not in providers


def test_account_ids_are_what_google_accepts(program):
    ids = [r.inputs["accountId"] for r in program.all("gcp:serviceaccount/account:Account")]

    assert ids
    assert [i for i in ids if not re.fullmatch(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])", i)] == []


def test_no_account_has_a_key(program):
    assert program.all("gcp:serviceaccount/key:Key") == []
    assert program.all("gcp:storage/hmacKey:HmacKey") == []


def test_grants_are_additive(program):
    wiping = [r.urn for r in program.resources if re.search(r"IAM(Binding|Policy):", r.type, re.I)]

    assert wiping == []


def test_nobody_is_owner_editor_or_admin(program):
    roles = [r.inputs["role"] for r in program.resources if "role" in r.inputs]
    broad = re.compile(r"roles/(owner|editor|.*\.admin|storage\.objectAdmin)$")

    assert roles
    assert [role for role in roles if isinstance(role, str) and broad.match(role)] == []


def test_a_grant_on_the_whole_project_has_a_reason(program):
    wide = {
        r.inputs["role"]
        for r in program.all("gcp:projects/iAMMember:IAMMember")
        if isinstance(r.inputs["role"], str) and not r.inputs["role"].startswith("projects/")
    }
    assert wide - PROJECT_WIDE.keys() == set()


def test_nothing_is_public(program):
    everything = repr([r.inputs for r in program.resources])

    assert "allUsers" not in everything
    assert "allAuthenticatedUsers" not in everything
    for bucket in program.all(BUCKET):
        assert bucket.inputs["publicAccessPrevention"] == "enforced", bucket.name
        assert bucket.inputs["uniformBucketLevelAccess"] is True, bucket.name
    assert program.one(INSTANCE).inputs["settings"]["ipConfiguration"]["ipv4Enabled"] is False


def test_gpu_pools_cost_nothing_while_nobody_trains(program):
    pools = [p for p in program.all(POOL) if "guestAccelerators" in p.inputs["nodeConfig"]]

    assert pools
    for pool in pools:
        scaling = pool.inputs["autoscaling"]
        assert scaling.get("totalMinNodeCount", scaling.get("minNodeCount")) == 0
        assert pool.inputs["nodeConfig"]["machineType"].startswith("n1-")


def test_what_holds_data_refuses_to_be_deleted_exactly_where_the_stack_says_so(program):
    protect = program.stack == "prod"
    cluster, instance = program.one(CLUSTER), program.one(INSTANCE)

    assert cluster.inputs["deletionProtection"] is protect
    assert instance.inputs["deletionProtection"] is protect
    assert instance.inputs["settings"]["deletionProtectionEnabled"] is protect
    assert {cluster.options.protect, instance.options.protect} == {protect}
    artifacts = [b for b in program.all(BUCKET) if "build" not in b.name]
    for bucket in artifacts:
        assert bucket.options.protect is protect
        assert bucket.inputs["forceDestroy"] is not protect


@pytest.mark.parametrize(
    ("later", "earlier"),
    [(CLUSTER, INSTANCE), (CLUSTER, PEERING), (INSTANCE, CLUSTER), (BUCKET, CLUSTER)],
)
def test_nothing_waits_for_what_it_does_not_need(program, later, earlier):
    waiting = [
        (a.name, b.name)
        for a in program.all(later)
        for b in program.all(earlier)
        if program.waits_for(a, b)
    ]
    assert waiting == []


def test_images_are_built_while_cluster_and_database_are_created(program):
    builds = program.all(BUILD)

    assert len(builds) == 2
    for build in builds:
        assert not program.waits_for(build, program.one(CLUSTER))
        assert not program.waits_for(build, program.one(INSTANCE))


def test_the_server_rolls_out_only_after_the_migration(program):
    assert program.waits_for(program.one(DEPLOYMENT), program.one(JOB))
