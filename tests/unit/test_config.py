"""Stack files that cannot work are refused before anything is created, in words that help.

`stacks/valid` holds whole stack files. `stacks/invalid` holds changes to one of them, each with the
first line of every problem that it causes.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pydantic import TypeAdapter

import config
import platforms
from config.document import Document

ROOT = Path(__file__).parents[2]
STACKS = Path(__file__).parent / "stacks"
NAMESPACE = "mlflow-platform"
REMOVED = "(removed)"

Keys = dict[str, Any]
Load = Callable[..., Any]
Refusal = Callable[..., str]


def keys(path: Path) -> Keys:
    found: Keys = yaml.safe_load(path.read_text())["config"]
    return found


VALID = {path.stem: keys(path) for path in sorted((STACKS / "valid").glob("*.yaml"))}
COMMITTED = {path.name.split(".")[1]: keys(path) for path in sorted(ROOT.glob("Pulumi.*.yaml"))}


def cases() -> Iterator[Any]:
    for path in sorted((STACKS / "invalid").glob("*.yaml")):
        for number, case in enumerate(yaml.safe_load(path.read_text()), 1):
            yield pytest.param(case, id=f"{path.stem}-{number}")


adapter, document = cache(TypeAdapter), cache(Document)
"""Building them takes longer than all that a test does with them."""


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Hand keys to the program as the engine does, and load them."""

    def load(keys: Keys, stack: str = "dev", secret: tuple[str, ...] = ()) -> Any:
        monkeypatch.setattr(pulumi, "get_stack", lambda: stack)
        monkeypatch.setattr(config, "TypeAdapter", adapter)
        monkeypatch.setattr(config, "Document", document)
        pulumi.runtime.set_all_config(
            {key: v if isinstance(v, str) else json.dumps(v) for key, v in keys.items()},
            list(secret),
        )
        return config.load(platforms.choose(config.platform()).Stack)

    yield load
    pulumi.runtime.set_all_config({}, [])


@pytest.fixture
def refusal(load: Load) -> Refusal:
    """What is printed when keys are refused."""

    def refusal(*args: Any, **kwargs: Any) -> str:
        with pytest.raises(pulumi.RunError) as refused:
            load(*args, **kwargs)
        return str(refused.value)

    return refusal


def changed(base: Keys, changes: Keys) -> Keys:
    """Base with values put in, or taken out, at dotted paths."""
    result = json.loads(json.dumps(base))
    for path, value in changes.items():
        name, *steps = path.split(".")
        at, steps = result, [name if ":" in name else f"{NAMESPACE}:{name}", *steps]
        for step in steps[:-1]:
            at = at.setdefault(step, {})
        last = int(steps[-1]) if isinstance(at, list) else steps[-1]
        if value == REMOVED:
            del at[last]
        else:
            at[last] = value
    return result


def given(keys: Keys, path: Sequence[str | int]) -> bool:
    """Whether a stack file has a key."""
    section: Any = keys
    for step in (f"{NAMESPACE}:{path[0]}", *path[1:]):
        section = section.get(step) if isinstance(section, dict) else None
    return section is not None


def first_lines(text: str) -> list[str]:
    return [line for line in text.splitlines()[1:] if line and not line.startswith(" ")]


@pytest.mark.parametrize("name", VALID)
def test_a_valid_stack_file_loads(load: Load, name: str):
    assert load(VALID[name]).platform in platforms.PLATFORMS


@pytest.mark.parametrize(
    ("platform", "whole"),
    [
        ("gke", ["gke-everything"]),
        # What runs in the cluster and what stands in its place exclude each other.
        ("kubernetes", ["kubernetes-everything-inside", "kubernetes-everything-outside"]),
    ],
)
def test_every_key_can_be_set(platform: str, whole: list[str]):
    unset = [
        path
        for path in document(adapter(platforms.choose(platform).Stack)).paths()
        if not any(given(VALID[name], path) for name in whole)
        and path[:2] != ("cpuPool", "accelerator")  # a pool has them, the CPU pool is refused one
    ]
    assert unset == []


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_stack_file_lacks_nothing_but_the_project(load: Load, name: str):
    google = COMMITTED[name][f"{NAMESPACE}:platform"] == "gke"
    project = {f"{NAMESPACE}:project": "my-project"} if google else {}

    assert load({**COMMITTED[name], **project}, stack=name).stack == name


@pytest.mark.parametrize("case", list(cases()))
def test_a_stack_file_that_cannot_work_is_refused(refusal: Refusal, case: Keys):
    base = VALID[case.get("from", "gke")]
    text = refusal(changed(base, case["change"]), stack=case.get("stack", "dev"))

    assert first_lines(text) == [
        line if line.startswith("mlflow-") else f"{NAMESPACE}:{line}" for line in case["says"]
    ]


def test_a_refusal_says_what_was_given_what_is_allowed_and_what_to_type(refusal: Refusal):
    text = refusal(changed(VALID["gpu"], {"gpuPool.accelerator.count": 3}), stack="prod")

    assert text.splitlines() == [
        "Pulumi.prod.yaml is refused, nothing was changed:",
        "",
        "mlflow-platform:gpuPool.accelerator.count: Google adds GPUs in powers of two",
        "  given:   3",
        "  allowed: 1, 2, 4 with nvidia-tesla-t4",
        "  type:    pulumi config set --stack prod --path"
        " mlflow-platform:gpuPool.accelerator.count 2",
    ]


@pytest.mark.parametrize("case", list(cases()))
def test_what_a_refusal_says_to_type_is_accepted(load: Load, refusal: Refusal, case: Keys):
    keys, stack = changed(VALID[case.get("from", "gke")], case["change"]), case.get("stack", "dev")
    text = refusal(keys, stack=stack)
    commands = re.findall(r"^  type: +(pulumi config set .*)$", text, re.M)
    if len(commands) < len(case["says"]) or "MY-" in text or "platform" in case["change"]:
        return  # a cure is a sentence, or only its reader knows the value

    for command in commands:
        *_, key, value = shlex.split(command)
        keys = changed(keys, {key.replace("[", ".").replace("]", ""): yaml.safe_load(value)})
    load(keys, stack=stack)


def test_a_secret_is_refused_and_not_shown(refusal: Refusal):
    keys = changed(VALID["gke"], {"database.password": "hunter2", "database.tier": "hunter2"})
    text = refusal(keys, secret=(f"{NAMESPACE}:database",))

    assert first_lines(text) == [
        f"{NAMESPACE}:database: is secret, and inside of the program it would be so no longer"
    ]
    assert "hunter2" not in text


def test_the_value_of_an_unknown_key_is_not_shown(refusal: Refusal):
    assert "hunter2" not in refusal(changed(VALID["gke"], {"database.password": "hunter2"}))


def test_keys_of_providers_are_left_to_them(load: Load):
    load({**VALID["gke"], "gcp:project": "other", "kubernetes:clusterIdentifier": "x"})


def test_a_language_host_may_hand_over_the_keys_in_the_environment(
    refusal: Refusal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(VALID["local"]))
    monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps([f"{NAMESPACE}:platform"]))

    assert first_lines(refusal({})) == [
        f"{NAMESPACE}:platform: is secret, and inside of the program it would be so no longer"
    ]


def test_scalars_are_read_as_the_engine_writes_them(load: Load):
    stack = load({**VALID["local"], f"{NAMESPACE}:keepData": "false"})

    assert stack.keep_data is False


def test_names_and_labels_begin_with_the_stack(load: Load):
    site = load({**VALID["gke"], f"{NAMESPACE}:labels": {"team": "flights"}}, stack="exp-1").site

    assert site.name == "mlflow-exp-1"
    assert site.labels == {
        "team": "flights", "app": "mlflow", "stack": "exp-1", "managed-by": "pulumi",
    }  # fmt: skip


def test_production_data_may_go_once_that_has_been_said_twice(load: Load):
    said = {f"{NAMESPACE}:protectData": "false", f"{NAMESPACE}:allowDataLoss": "prod"}

    assert load({**VALID["gke"], **said}, stack="prod").site.protect is False


def test_two_local_stacks_share_neither_ports_nor_data(load: Load):
    one, other = load(VALID["local"], stack="local"), load(VALID["local-beside"], stack="beside")

    assert set(vars(one.ports).values()).isdisjoint(vars(other.ports).values())
    assert one.data != other.data
    assert load(VALID["local"], stack="third").data not in (one.data, other.data)
