"""An `up` that fails in the middle, and the one after it: a first one, and an upgrade."""

from collections.abc import Callable

import pytest

from .cloud import StandInCloud
from .cloud.journal import Entry
from .cloud.world import BUILD
from .stack import Refusal, Stack
from .tokens import DEPLOYMENT, INSTANCE, JOB, POOL

QUOTA = (
    'googleapi: Error 403: Insufficient regional quota to satisfy request: resource "CPUS": '
    "request requires '4.0' and is short '2.0'."
)
MIGRATION = "Upgrade failed. The schema is unchanged, so servers of the old version go on."


@pytest.fixture(scope="module")
def failed(stack: Callable[..., Stack], cloud: StandInCloud) -> Stack:
    """A first `up` in a project without quota for nodes."""
    dev = stack("dev", checkpoints=True)
    cloud.fail(POOL, QUOTA)
    with pytest.raises(Refusal, match="Insufficient regional quota"):
        dev.up()
    return dev


@pytest.fixture(scope="module")
def half_built(failed: Stack) -> set[str]:
    """What exists after the failure."""
    return {thing.urn for thing in failed.cloud.world.things.values()}


@pytest.fixture(scope="module")
def resumed(failed: Stack, half_built: set[str]) -> list[Entry]:
    """What is asked of the cloud when the quota was raised and the same command typed again."""
    before = len(failed.cloud.journal.entries)
    failed.up()
    return failed.cloud.journal.since(before)


def test_what_does_not_hang_on_the_failure_is_built_all_the_same(half_built):
    built = {urn.split("::")[2].rsplit("$", 1)[-1] for urn in half_built}

    assert INSTANCE in built
    assert DEPLOYMENT not in built


def test_the_state_knows_everything_that_exists(failed, half_built):
    assert half_built <= {resource["urn"] for resource in failed.resources()}


def test_the_next_up_creates_what_is_missing_and_touches_nothing_else(failed, half_built, resumed):
    assert {entry.action for entry in resumed} == {"create"}
    assert {entry.urn for entry in resumed} & half_built == set()
    assert failed.cloud.one(DEPLOYMENT).usable


@pytest.fixture(scope="module")
def upgraded(failed: Stack, resumed: list[Entry]) -> tuple[str, list[Entry]]:
    """The image before an upgrade whose migration fails, and what was asked of the cloud for it."""
    before, old = len(failed.cloud.journal.entries), image(failed)
    dockerfile = failed.program / "server" / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "\nLABEL release=next\n")
    failed.cloud.fail(JOB, MIGRATION, leaves_it=True)
    with pytest.raises(Refusal, match=MIGRATION):
        failed.up()
    return old, failed.cloud.journal.since(before)


@pytest.fixture(scope="module")
def repaired(failed: Stack, upgraded: tuple[str, list[Entry]]) -> list[Entry]:
    """What is asked of the cloud by the next `up`, with nothing in the way any more."""
    before = len(failed.cloud.journal.entries)
    failed.up()
    return failed.cloud.journal.since(before)


def test_a_failed_migration_leaves_the_running_server_alone(failed, upgraded):
    old, asked = upgraded

    assert ("build", BUILD) in [(e.action, e.token) for e in asked]
    assert DEPLOYMENT not in {e.token for e in asked}
    assert image(failed) == old


def test_the_next_up_migrates_again_and_only_then_rolls_out(failed, upgraded, repaired):
    done = [(e.action, e.token) for e in repaired]

    assert done.index(("create", JOB)) < done.index(("update", DEPLOYMENT))
    assert BUILD not in {e.token for e in repaired}
    assert image(failed) != upgraded[0]


def test_after_that_nothing_is_left_to_do(failed, repaired):
    failed.up("--expect-no-changes")


def image(stack: Stack) -> str:
    pod = stack.cloud.one(DEPLOYMENT).inputs["spec"]["template"]["spec"]
    return str(pod["containers"][0]["image"])
