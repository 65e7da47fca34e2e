"""The life of a `kind` stack: preview, up, changes, destroy, in a cluster without any cloud.

People log in to it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from mlflow_platform_client.handoff import HIDDEN

from . import secrecy
from .cloud import StandInCloud
from .cloud.journal import Entry
from .cloud.world import BUILD
from .dependencies import ancestors, declared, names
from .needs import needed
from .stack import Refusal, Stack, Step
from .tokens import CLAIM, DEPLOYMENT, IMAGE, JOB, NAMESPACE, STATEFUL_SET

CONTEXT = "kind-mlflow"


@dataclass(frozen=True)
class Preview:
    steps: list[Step]
    requests: list[Entry]


@pytest.fixture(scope="module")
def new(stack: Callable[..., Stack], cloud: StandInCloud) -> Stack:
    cloud.world.contexts.add(CONTEXT)
    kind = stack("kind")
    kind.set("access.auth", "basic")
    return kind


@pytest.fixture(scope="module")
def preview(new: Stack) -> Preview:
    return Preview(new.preview(), list(new.cloud.journal.entries))


@pytest.fixture(scope="module")
def kind(new: Stack, preview: Preview) -> Stack:
    new.up()
    return new


@pytest.fixture(scope="module")
def outputs(kind: Stack) -> dict[str, Any]:
    return kind.outputs()


@pytest.fixture
def setting(kind: Stack) -> Iterator[Callable[[str, object], None]]:
    """Change settings of the running stack; they are put back without an `up`."""
    file = kind.program / "Pulumi.kind.yaml"
    before = file.read_text()
    yield kind.set
    file.write_text(before)


def test_a_preview_creates_and_builds_nothing(preview):
    assert preview.steps
    assert preview.requests == []


def test_the_preview_promised_whatever_up_created(preview, kind):
    promised = {(s.type, s.name) for s in preview.steps if s.action == "create"}
    created = {(e.token, e.name) for e in kind.cloud.journal.done("create")}

    assert created
    assert created <= promised


def test_nothing_of_a_cloud_was_asked_for(kind):
    packages = {e.token.split(":")[0] for e in kind.cloud.journal.done("create")}

    assert packages == {"kubernetes", "random"}


def test_both_images_are_with_the_nodes_and_the_pods_run_them(kind, outputs):
    pod = kind.cloud.one(DEPLOYMENT).inputs["spec"]["template"]["spec"]
    images = kind.cloud.world.node_images

    assert {image.rpartition(":")[0] for image in images} == {
        "localhost/mlflow-tracking",
        "localhost/mlflow-training",
    }
    assert pod["containers"][0]["image"] in images
    assert outputs["trainingImage"] in images


def test_a_second_up_changes_nothing(kind):
    before = len(kind.cloud.journal.entries)

    kind.up("--expect-no-changes")

    assert kind.cloud.journal.since(before) == []


def test_a_refresh_finds_no_drift(kind):
    kind.refresh("--expect-no-changes")


def test_no_password_and_no_key_is_in_the_state_in_plain_text(kind):
    assert len(secrecy.passwords(kind)) == 5
    assert secrecy.in_plain_text(kind) == []


def test_the_admins_password_is_an_output_for_who_may_see_secrets(kind, outputs):
    shown = kind.outputs("--show-secrets")

    assert shown["adminUser"] == outputs["adminUser"] == "admin"
    assert shown["adminPassword"] in secrecy.passwords(kind)
    assert outputs["adminPassword"] == HIDDEN


def test_everything_waits_for_all_that_it_needs(kind):
    """What a request needs is what the cluster looked up before it was done: luck is not enough."""
    resources = kind.resources()
    before, needs = ancestors(declared(resources)), needed(kind.cloud.journal, resources)

    for urn in needs:
        assert names(needs[urn] - before(urn)) == set(), names([urn])


def test_an_image_that_the_nodes_have_lost_is_handed_over_again(kind, outputs):
    lost = outputs["trainingImage"]
    kind.cloud.world.node_images.discard(lost)

    kind.refresh()
    kind.up()

    assert lost in kind.cloud.world.node_images


def test_a_larger_volume_is_an_update_in_place_of_just_that(kind, setting):
    setting("database.storageGib", 20)

    steps = kind.preview()

    assert [(s.action, s.type, s.name) for s in steps] == [("update", CLAIM, "mlflow-database")]


def test_a_second_replica_is_an_update_of_the_server_and_of_what_the_database_allows(kind, setting):
    setting("server.replicas", 2)

    steps = {(s.action, s.type) for s in kind.preview()}

    assert ("update", DEPLOYMENT) in steps
    assert ("update", STATEFUL_SET) in steps
    assert not [s for s in steps if s[1] in (CLAIM, JOB, NAMESPACE, IMAGE)]


def test_another_storage_class_is_said_to_replace_the_volume(kind, setting):
    setting("database.storageClass", "fast")

    assert "spec" in next(s.because for s in kind.preview() if s.type == CLAIM)


def test_another_cluster_is_said_to_replace_everything_in_this_one(kind, setting):
    setting("context", "kind-elsewhere")
    kind.cloud.world.contexts.add("kind-elsewhere")

    steps = kind.preview()

    replaced = {s.type for s in steps if s.action in ("replace", "create-replacement")}
    assert replaced >= {CLAIM, STATEFUL_SET, DEPLOYMENT, NAMESPACE, IMAGE}


@pytest.fixture(scope="module")
def changed(kind: Stack) -> list[Entry]:
    """What is asked of the cluster for another image of the server and a larger volume.

    Pulumi alone learns that the data is protected from now on.
    """
    before = len(kind.cloud.journal.entries)
    dockerfile = kind.program / "server/Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "\nLABEL release=next\n")
    kind.set("database.storageGib", 20)
    kind.set("protectData", True)
    kind.up()
    return kind.cloud.journal.since(before)


def test_a_new_image_is_built_and_migrated_before_it_is_rolled_out(changed):
    done = [(e.action, e.token) for e in changed]
    order = [("build", BUILD), ("create", JOB), ("update", DEPLOYMENT)]

    assert sorted(order, key=done.index) == order
    assert done.count(("build", BUILD)) == 1


def test_the_stores_are_left_alone_meanwhile(changed):
    assert {(e.action, e.name) for e in changed if e.token == CLAIM} == {
        ("update", "mlflow-database")
    }
    assert [e for e in changed if e.token == STATEFUL_SET] == []


@pytest.fixture(scope="module")
def protected(kind: Stack, changed: list[Entry]) -> Stack:
    return kind


@pytest.mark.parametrize("options", [(), ("--skip-preview",)], ids=["asked", "unasked"])
def test_a_protected_stack_refuses_to_be_destroyed_before_anything_is_deleted(protected, options):
    before = len(protected.cloud.journal.done("delete"))

    with pytest.raises(Refusal, match="protected"):
        protected.destroy(*options)

    assert len(protected.cloud.journal.done("delete")) == before


def test_a_protected_stack_keeps_the_password_that_opens_its_server(protected, setting):
    setting("access.auth", "none")

    with pytest.raises(Refusal, match="protected"):
        protected.preview()


@pytest.fixture(scope="module")
def destroyed(kind: Stack, changed: list[Entry]) -> Stack:
    kind.set("protectData", False)
    kind.up()
    kind.destroy("--skip-preview")
    return kind


def test_destroy_leaves_nothing_in_the_cluster(destroyed):
    assert list(destroyed.cloud.world.things) == []
    assert destroyed.resources() == []


def test_destroy_ends_the_pods_before_it_takes_their_volumes(destroyed):
    gone = {e.token: e for e in destroyed.cloud.journal.done("delete")}

    for earlier, later in [
        (DEPLOYMENT, STATEFUL_SET),
        (STATEFUL_SET, CLAIM),
        (CLAIM, NAMESPACE),
    ]:
        assert gone[earlier].ended < gone[later].started, (earlier, later)
    assert [e.urn for e in destroyed.cloud.journal.since(0) if e.failed] == []
