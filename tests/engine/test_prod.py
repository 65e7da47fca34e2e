"""A `prod` stack: what it takes to lose its data."""

from collections.abc import Callable

import pytest

from .stack import Refusal, Stack, fill_buckets
from .tokens import BUCKET, CLUSTER, INSTANCE


@pytest.fixture(scope="module")
def prod(stack: Callable[..., Stack]) -> Stack:
    prod = stack("prod")
    prod.up()
    fill_buckets(prod)
    return prod


def test_a_second_up_changes_nothing(prod):
    prod.up("--expect-no-changes")


def test_a_refresh_finds_no_drift(prod):
    prod.refresh("--expect-no-changes")


@pytest.mark.parametrize("options", [(), ("--skip-preview",)], ids=["asked", "unasked"])
def test_destroy_is_refused_before_anything_is_deleted(prod, options):
    with pytest.raises(Refusal, match="protected"):
        prod.destroy(*options)

    assert prod.cloud.journal.done("delete") == []


@pytest.fixture(scope="module")
def said_once(prod: Stack) -> Stack:
    prod.set("protectData", False)
    return prod


def test_taking_the_protection_off_needs_to_be_said_twice(said_once):
    with pytest.raises(Refusal, match="allowDataLoss"):
        said_once.preview()


@pytest.fixture(scope="module")
def unprotected(said_once: Stack) -> Stack:
    said_once.set("allowDataLoss", "prod")
    said_once.up()
    return said_once


def test_one_switch_lowers_every_guard(unprotected):
    cloud = unprotected.cloud

    assert cloud.one(CLUSTER).inputs["deletionProtection"] is False
    assert cloud.one(INSTANCE).inputs["deletionProtection"] is False
    assert cloud.one(INSTANCE).inputs["settings"]["deletionProtectionEnabled"] is False
    assert {bucket.inputs["forceDestroy"] for bucket in cloud.world.of(BUCKET)} == {True}


def test_after_that_destroy_leaves_nothing(unprotected):
    unprotected.destroy("--skip-preview")

    assert list(unprotected.cloud.world.things) == []
    assert unprotected.resources() == []
