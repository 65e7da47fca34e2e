"""The stand-in of the Kubernetes provider: what it does to a real cluster, and what it says."""

import base64
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.cloud import StandInCloud
from tools import pulumi_cli

from .provider import ClusterProvider, cloud_on
from .provider.api_server import ApiServer
from .provider.manifest import Manifest, Reference
from .small_program import Refusal, SmallProgram

CONFIG_MAP, DEPLOYMENT, JOB = "core.v1.ConfigMap", "apps.v1.Deployment", "batch.v1.Job"
NAMESPACE, SECRET, SERVICE = "core.v1.Namespace", "core.v1.Secret", "core.v1.Service"

PASSWORD = "correct-horse-battery-staple"


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    return os.environ["TEST_KUBECONFIG"]


@pytest.fixture(scope="module")
def cloud() -> Iterator[StandInCloud]:
    with cloud_on(ClusterProvider(patience=3)) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def api(kubeconfig: str) -> Iterator[ApiServer]:
    """The cluster itself, past the provider."""
    server = ApiServer.reached_by(kubeconfig)
    yield server
    server.close()


@pytest.fixture
def namespace(api: ApiServer) -> Iterator[str]:
    name = f"provider-{secrets.token_hex(4)}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    api.apply(manifest, "test")
    yield name
    api.delete(Reference("v1", "Namespace", name, None), "Background")


@pytest.fixture
def program(tmp_path: Path, cloud: StandInCloud, kubeconfig: str) -> Iterator[SmallProgram]:
    program = SmallProgram(tmp_path, pulumi_cli.find(), cloud, kubeconfig)
    yield program
    program.destroy()


@pytest.fixture
def config(program: SmallProgram, namespace: str) -> Callable[..., None]:
    """Have the program want a ConfigMap."""

    def want(data: dict[str, str], **metadata: Any) -> None:
        arguments = {"metadata": {"namespace": namespace, **metadata}, "data": data}
        program.objects["config"] = (CONFIG_MAP, arguments, {})

    return want


def found(api: ApiServer, kind: str, id: str) -> Manifest | None:
    area, version, name = kind.split(".")
    api_version = version if area == "core" else f"{area}/{version}"
    namespace, _, own = id.rpartition("/")
    return api.read(Reference(api_version, name, own, namespace or None))


def by_hand(api: ApiServer, manifest: Manifest, **changes: Any) -> None:
    """Change an object as a person does with `kubectl`."""
    kept = {key: manifest[key] for key in ("apiVersion", "kind")}
    named = {key: manifest["metadata"][key] for key in ("name", "namespace")}
    api.apply({**kept, "metadata": named, **changes}, "kubectl-edit", force=True)


def test_a_preview_writes_nothing(api, program, config, namespace):
    config({"colour": "red"})

    assert ("create", "config") in program.preview()
    there = api.listed("v1", "ConfigMap", namespace)
    assert {each["metadata"]["name"] for each in there} <= {"kube-root-ca.crt"}


def test_a_preview_knows_what_the_server_would_refuse(program, namespace):
    metadata = {"namespace": namespace, "labels": {"a": "not a label"}}
    program.objects["config"] = (CONFIG_MAP, {"metadata": metadata}, {})

    with pytest.raises(Refusal, match="a valid label must be"):
        program.preview()


def test_an_object_without_a_name_gets_one(api, program, config):
    config({"colour": "red"})
    program.up()

    made = found(api, CONFIG_MAP, program.ids()["config"])
    assert made["data"] == {"colour": "red"}
    assert made["metadata"]["name"].startswith("config-")


def test_a_second_up_changes_nothing_and_a_refresh_finds_no_drift(program, config, namespace):
    config({"colour": "red"})
    program.objects["secret"] = (
        SECRET,
        {"metadata": {"namespace": namespace}},
        {"secret": {"string_data": {"password": PASSWORD}}},
    )
    program.objects["deployment"] = (DEPLOYMENT, deployment(namespace, replicas=0), {})
    program.up()

    program.up("--expect-no-changes")
    program.refresh("--expect-no-changes")
    program.up("--expect-no-changes")


def test_what_can_be_changed_is_changed_in_place(api, program, config):
    config({"colour": "red"}, labels={"team": "a"})
    program.up()
    before = program.ids()["config"]

    config({"colour": "red"}, labels={"team": "b"})
    assert ("update", "config") in program.preview()
    program.up()

    assert program.ids()["config"] == before
    assert found(api, CONFIG_MAP, before)["metadata"]["labels"]["team"] == "b"


def test_what_the_program_no_longer_says_is_taken_away(api, program, config):
    config({"colour": "red"}, labels={"team": "a", "floor": "3"})
    program.up()

    config({"colour": "red"}, labels={"team": "a"})
    program.up()

    assert "floor" not in found(api, CONFIG_MAP, program.ids()["config"])["metadata"]["labels"]


def test_other_settings_are_a_new_object_under_a_new_name(api, program, config):
    config({"colour": "red"})
    program.up()
    before = program.ids()["config"]

    config({"colour": "blue"})
    assert ("replace", "config") in program.preview()
    program.up()

    after = program.ids()["config"]
    assert after != before
    assert found(api, CONFIG_MAP, after)["data"] == {"colour": "blue"}
    assert found(api, CONFIG_MAP, before) is None


def test_a_name_that_a_person_chose_stays_through_a_replacement(api, program, config, namespace):
    config({"colour": "red"}, name="mine")
    program.up()
    before = found(api, CONFIG_MAP, f"{namespace}/mine")["metadata"]["uid"]

    config({"colour": "blue"}, name="mine")
    program.up()

    after = found(api, CONFIG_MAP, f"{namespace}/mine")
    assert after["data"] == {"colour": "blue"}
    assert after["metadata"]["uid"] != before


@pytest.fixture
def changed_by_hand(api, program, config) -> str:
    """A label that the program set and a person changed."""
    config({"colour": "red"}, labels={"team": "a"})
    program.up()
    id = program.ids()["config"]
    there = found(api, CONFIG_MAP, id)
    named = {key: there["metadata"][key] for key in ("name", "namespace")}
    edited = {"metadata": {**named, "labels": {"team": "mine"}}}
    api.apply({**there_type(there), **edited}, "kubectl-edit", force=True)
    return id


def there_type(manifest: Manifest) -> Manifest:
    return {key: manifest[key] for key in ("apiVersion", "kind")}


def test_a_change_by_hand_is_found_by_a_refresh(program, changed_by_hand):
    with pytest.raises(Refusal, match="no changes were expected"):
        program.refresh("--expect-no-changes")


def test_a_change_by_hand_is_not_overwritten_unasked(program, changed_by_hand):
    program.refresh()

    with pytest.raises(Refusal, match='conflict with "kubectl-edit"'):
        program.up()


def test_a_change_by_hand_is_put_right_where_the_program_says_so(
    api, program, config, changed_by_hand
):
    annotations = {"pulumi.com/patchForce": "true"}
    config({"colour": "red"}, labels={"team": "a"}, annotations=annotations)
    program.refresh()
    program.up()

    assert found(api, CONFIG_MAP, changed_by_hand)["metadata"]["labels"]["team"] == "a"


def test_what_was_deleted_by_hand_is_made_again(api, program, config):
    config({"colour": "red"})
    program.up()
    id = program.ids()["config"]
    api.delete(Reference.of(found(api, CONFIG_MAP, id)), "Background")

    program.refresh()
    program.up()

    assert found(api, CONFIG_MAP, program.ids()["config"])


def test_no_secret_is_in_the_state_in_plain_text(program, namespace):
    program.objects["secret"] = (
        SECRET,
        {"metadata": {"namespace": namespace}},
        {"secret": {"string_data": {"password": PASSWORD}}},
    )
    program.up()
    program.refresh()
    program.up()

    spellings = {PASSWORD, base64.b64encode(PASSWORD.encode()).decode()}
    shown = program.pulumi("stack", "export", "--show-secrets")
    assert PASSWORD in shown or spellings & set(shown.split('"')), "an empty search proves nothing"
    for file in program.backend.folder.rglob("*"):
        if file.is_file():
            assert not [s for s in spellings if s in file.read_text(errors="replace")], file


def test_a_destroy_ends_when_everything_is_gone(api, program, namespace):
    inner = f"{namespace}-inner"
    program.objects["space"] = (NAMESPACE, {"metadata": {"name": inner}}, {})
    program.objects["config"] = (
        CONFIG_MAP,
        {"metadata": {"namespace": inner, "name": "mine"}},
        {"after": ["space"]},
    )
    program.up()

    program.destroy()

    assert found(api, NAMESPACE, inner) is None


def deployment(namespace: str, replicas: int = 1, **container: Any) -> dict[str, Any]:
    labels = {"app": "small"}
    return {
        "metadata": {"namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod(**container)},
        },
    }


def pod(image: str = "sleeper", **container: Any) -> dict[str, Any]:
    return {
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", **container}
        ],
    }
