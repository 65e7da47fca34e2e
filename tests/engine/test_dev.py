"""The life of a `dev` stack: preview, up, changes, destroy."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from . import secrecy
from .cloud.journal import Entry
from .cloud.thing import Thing
from .dependencies import (
    Needs,
    ancestors,
    declared,
    finished,
    longest_path,
    names,
    started,
    token,
)
from .needs import needed
from .stack import Refusal, Stack, Step, fill_buckets
from .tokens import (
    API,
    BUCKET,
    CLUSTER,
    DEPLOYMENT,
    INSTANCE,
    JOB,
    NETWORK,
    PEERING,
    POOL,
    SUBNETWORK,
)

SLOW = 60
"""Seconds in the real service from which it matters whether something waits for it."""

PATIENCE = 600
"""Seconds that the Kubernetes provider waits for an object to become ready, unless told."""

SLOW_DAY = {INSTANCE: 1500}
"""Seconds of an instance with a standby and a private address, at the upper end."""

GROWN_GB = 25


@dataclass(frozen=True)
class Preview:
    steps: list[Step]
    requests: list[Entry]


@pytest.fixture(scope="module")
def new(stack: Callable[..., Stack]) -> Stack:
    return stack("dev")


@pytest.fixture(scope="module")
def preview(new: Stack) -> Preview:
    return Preview(new.preview(), list(new.cloud.journal.entries))


@pytest.fixture(scope="module")
def dev(new: Stack, preview: Preview) -> Stack:
    new.up()
    return new


@pytest.fixture(scope="module")
def resources(dev: Stack) -> list[dict[str, Any]]:
    return dev.resources()


@pytest.fixture(scope="module")
def needs(dev: Stack, resources: list[dict[str, Any]]) -> Needs:
    return needed(dev.cloud.journal, resources)


@pytest.fixture
def setting(dev: Stack) -> Iterator[Callable[[str, object], None]]:
    """Change settings of the running stack; they are put back without an `up`."""
    file = dev.program / "Pulumi.dev.yaml"
    before = file.read_text()
    yield dev.set
    file.write_text(before)


def test_a_preview_creates_nothing(preview):
    assert preview.steps
    assert preview.requests == []


def test_the_preview_promised_whatever_up_created(preview, dev):
    promised = {(s.type, s.name) for s in preview.steps if s.action == "create"}
    created = {(e.token, e.name) for e in dev.cloud.journal.done("create")}

    assert created
    assert created <= promised


def test_a_second_up_changes_nothing(dev):
    before = len(dev.cloud.journal.entries)

    dev.up("--expect-no-changes")

    assert dev.cloud.journal.since(before) == []


def test_a_refresh_finds_no_drift(dev):
    dev.refresh("--expect-no-changes")


def test_a_change_behind_pulumis_back_is_seen_and_put_right(dev):
    pool = cpu_pool(dev)
    before = copy.deepcopy(pool.inputs["autoscaling"])
    pool.inputs["autoscaling"] = pool.outputs["autoscaling"] = {"maxNodeCount": 99}

    with pytest.raises(Refusal, match="no changes were expected"):
        dev.refresh("--expect-no-changes")
    dev.up()

    assert pool.inputs["autoscaling"] == before


def test_no_secret_is_in_the_state_in_plain_text(dev):
    assert secrecy.passwords(dev)
    assert secrecy.in_plain_text(dev) == []


def test_everything_waits_for_all_that_it_needs(resources, needs):
    """What a request needs is what the cloud looked up before it granted it: luck is not enough."""
    before = ancestors(declared(resources))

    for urn in needs:
        assert names(needs[urn] - before(urn)) == set(), names([urn])


def test_nothing_slow_waits_for_something_slow_that_it_does_not_need(dev, resources, needs):
    waits, must_wait = ancestors(declared(resources)), ancestors(needs)
    slow = {urn for urn in needs if dev.cloud.seconds(urn) >= SLOW}

    for urn in slow:
        assert names(waits(urn) & slow) <= names(must_wait(urn) & slow), names([urn])


def test_the_longest_path_is_googles_own(dev, resources, needs):
    """With all that we declare, `up` takes less than a minute longer than it must."""
    seconds = dev.cloud.seconds
    ours, least = (longest_path(g, seconds) for g in (declared(resources), needs))
    report = [f"{seconds(urn):6.0f} s  {names([urn]).pop()}" for urn in ours if seconds(urn)]

    assert sum(map(seconds, ours)) - sum(map(seconds, least)) < SLOW, "\n".join(report)


def test_nothing_gives_up_waiting_on_a_day_when_the_database_is_slow(dev, resources, needs):
    """The provider begins to wait when an object exists, however far away its pods still are."""
    states = {r["urn"]: r for r in resources}
    waits = declared(resources)
    done = finished(waits, lambda urn: SLOW_DAY.get(token(urn), dev.cloud.seconds(urn)))

    for urn in needs:
        limit = states[urn].get("customTimeouts", {}).get("create", PATIENCE)
        for awaited in needs[urn] - ancestors(waits)(urn):
            waiting = done(awaited) - started(waits, done, urn)
            assert waiting < limit, (names([urn]), names([awaited]))


def test_another_name_is_said_to_replace_what_holds_data(dev, setting):
    setting("name", "elsewhere")

    steps = dev.preview()

    for action in ("create", "delete"):
        assert {s.type for s in steps if s.action == action} >= {BUCKET, CLUSTER, INSTANCE}


def test_another_zone_is_said_to_replace_the_cluster(dev, setting):
    setting("zones[0]", "europe-west4-c")

    assert "location" in next(s.because for s in dev.preview() if s.type == CLUSTER)


@pytest.fixture(scope="module")
def grown(dev: Stack) -> list[Entry]:
    """What is asked of the cloud for a bigger database and pool, in a stack that has been used."""
    fill_buckets(dev)
    instance = dev.cloud.one(INSTANCE)
    for settings in (instance.inputs["settings"], instance.outputs["settings"]):
        settings["diskSize"] = GROWN_GB
    before = len(dev.cloud.journal.entries)
    dev.set("database.tier", "db-custom-4-15360")
    dev.set("cpuPool.maxNodes", 7)
    dev.up("--refresh")
    return dev.cloud.journal.since(before)


def test_a_bigger_database_and_pool_are_updates_in_place_of_just_these(grown):
    assert {(e.action, e.token) for e in grown} == {("update", INSTANCE), ("update", POOL)}


def test_a_disk_that_has_grown_by_itself_is_left_alone(dev, grown):
    assert dev.cloud.one(INSTANCE).inputs["settings"]["diskSize"] == GROWN_GB


@pytest.fixture(scope="module")
def destroyed(dev: Stack, grown: list[Entry]) -> Stack:
    dev.destroy("--skip-preview")
    return dev


def test_destroy_leaves_nothing_but_enabled_apis(destroyed):
    left = destroyed.cloud.world

    assert list(left.things) == []
    assert left.peerings == set()
    assert destroyed.resources() == []


def test_destroy_goes_in_an_order_that_google_accepts(destroyed):
    gone = {e.token: e for e in destroyed.cloud.journal.done("delete")}
    order = [
        (DEPLOYMENT, CLUSTER),
        (JOB, CLUSTER),
        (POOL, CLUSTER),
        (INSTANCE, PEERING),
        (CLUSTER, SUBNETWORK),
        (PEERING, NETWORK),
        (SUBNETWORK, NETWORK),
    ]

    for earlier, later in order:
        assert gone[earlier].ended < gone[later].started, (earlier, later)
    assert [e.urn for e in destroyed.cloud.journal.since(0) if e.failed] == []


def test_apis_stay_enabled_for_others(destroyed):
    assert {e.token for e in destroyed.cloud.journal.done("delete")} >= {API}
    assert "sqladmin.googleapis.com" in destroyed.cloud.world.enabled


def cpu_pool(stack: Stack) -> Thing:
    pools = stack.cloud.world.of(POOL)
    return next(p for p in pools if not p.inputs["nodeConfig"].get("guestAccelerators"))
