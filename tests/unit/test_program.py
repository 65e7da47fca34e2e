"""What holds for every resource of every committed stack, previewed and applied."""

from collections import Counter
from dataclasses import fields

from pydantic.alias_generators import to_camel

from platforms.handoff import Handoff

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
JOB = "kubernetes:batch/v1:Job"
PASSWORD = "canary-password"


def test_preview_and_update_declare_the_same_resources(both):
    preview, update = both

    assert Counter(r.urn for r in preview.resources) == Counter(r.urn for r in update.resources)


def test_no_two_resources_share_a_name(program):
    twice = [urn for urn, n in Counter(r.urn for r in program.resources).items() if n > 1]

    assert twice == []


def test_the_outputs_are_the_hand_off(program):
    assert program.exports == {to_camel(field.name) for field in fields(Handoff)}


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


def test_every_kubernetes_object_goes_to_the_stacks_own_cluster(program):
    strays = [r.name for r in program.resources if r.type.startswith("kubernetes:")]
    providers = {r.provider for r in program.resources if r.type.startswith("kubernetes:")}

    assert strays
    assert len(providers) == 1
    assert "" not in providers


def test_the_server_rolls_out_only_after_the_migration(program):
    assert program.waits_for(program.one(DEPLOYMENT), program.one(JOB))
