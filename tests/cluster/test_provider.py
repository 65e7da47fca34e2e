"""The stand-in of the Kubernetes provider: what it does to a real cluster, and what it says."""

import base64
import copy
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import pulumi_cli

from .cluster import Cluster
from .engine import Engine, Kept, NotReady, Refused
from .provider import ClusterProvider, cloud_on
from .provider.api_server import ApiServer
from .provider.manifest import Manifest, Reference
from .small_program import Refusal, SmallProgram

PASSWORD = "correct-horse-battery-staple"
SHELL = ["/bin/busybox", "sh", "-c"]
NEVER = {"exec": {"command": ["false"]}, "periodSeconds": 1}


@pytest.fixture(scope="module")
def kubeconfig(cluster: Cluster) -> str:
    return str(cluster.kubeconfig)


@pytest.fixture(scope="module")
def api(kubeconfig: str) -> Iterator[ApiServer]:
    """The cluster itself, past the provider."""
    server = ApiServer.reached_by(kubeconfig)
    yield server
    server.close()


@pytest.fixture(scope="module")
def engine(kubeconfig: str) -> Engine:
    return Engine(ClusterProvider(patience=3), kubeconfig)


@pytest.fixture(scope="module")
def namespace(api: ApiServer) -> Iterator[str]:
    name = f"provider-{secrets.token_hex(4)}"
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, "test")
    yield name
    api.delete(Reference("v1", "Namespace", name, None), "Background")


def config(namespace: str, colour: str = "red", **metadata: Any) -> Manifest:
    named = {"namespace": namespace, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"colour": colour}}


def secret(namespace: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace},
        "stringData": {"password": PASSWORD},
    }


def pod(script: str = "sleep 1000", **container: Any) -> dict[str, Any]:
    main = {
        "name": "main",
        "image": "busybox",
        "imagePullPolicy": "IfNotPresent",
        "command": [*SHELL, script],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **container,
    }
    return {"terminationGracePeriodSeconds": 1, "containers": [main]}


def deployment(namespace: str, *, replicas: int = 1, **container: Any) -> Manifest:
    labels = {"app": secrets.token_hex(4)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "labels": {"team": "a"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod(**container)},
        },
    }


def job(namespace: str, script: str, **spec: Any) -> Manifest:
    template = {"spec": {**pod(script), "restartPolicy": "Never"}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": namespace},
        "spec": {"backoffLimit": 0, "template": template, **spec},
    }


def now(api: ApiServer, kept: Kept) -> Manifest | None:
    namespace, _, name = kept.id.rpartition("/")
    inputs = kept.inputs
    return api.read(Reference(inputs["apiVersion"], inputs["kind"], name, namespace or None))


def with_labels(manifest: Manifest, **labels: str) -> Manifest:
    changed = copy.deepcopy(manifest)
    changed["metadata"]["labels"] = labels
    return changed


def edited_by_hand(api: ApiServer, kept: Kept, **labels: str) -> None:
    """Change labels as a person does with `kubectl`."""
    there = {key: kept.inputs[key] for key in ("apiVersion", "kind")}
    named = {key: kept.inputs["metadata"][key] for key in ("name", "namespace")}
    api.apply({**there, "metadata": {**named, "labels": labels}}, "kubectl-edit", force=True)


# Names, and what a change means.


def test_an_object_without_a_name_gets_one(api, engine, namespace):
    made = engine.create(config(namespace))

    assert now(api, made)["data"] == {"colour": "red"}
    assert made.id.startswith(f"{namespace}/thing-")


@pytest.mark.parametrize("kind", [config, secret, deployment])
def test_an_object_that_nobody_touched_has_not_changed(engine, namespace, kind):
    wanted = kind(namespace)
    made = engine.create(wanted)

    assert not engine.changes(made, wanted)
    assert not engine.changes(engine.refresh(made), wanted)


def test_what_can_be_changed_is_changed_in_place(api, engine, namespace):
    wanted = with_labels(config(namespace), team="a", floor="3")
    made = engine.create(wanted)
    uid = now(api, made)["metadata"]["uid"]

    changed = engine.up(made, with_labels(wanted, team="b"))

    there = now(api, changed)["metadata"]
    assert (there["uid"], there["labels"]) == (uid, {"team": "b"})


@pytest.mark.parametrize("kind", [config, secret])
def test_other_contents_are_another_object(engine, namespace, kind):
    wanted = kind(namespace)
    made = engine.create(wanted)
    part = "data" if "data" in wanted else "stringData"

    diff = engine.diff(made, {**wanted, part: {key: "other" for key in wanted[part]}})

    assert diff.replaces == [f"data.{key}" for key in wanted[part]]
    assert not diff.deleteBeforeReplace, "the new one has a name of its own"


def test_another_template_is_another_job(engine, namespace):
    made = engine.create(job(namespace, "true"))

    (path,) = engine.diff(made, job(namespace, "exit 0")).replaces

    assert path.startswith("spec.template.spec.containers[0].command")


def test_another_selector_is_another_deployment(engine, namespace):
    made = engine.create(deployment(namespace))

    replaces = engine.diff(made, deployment(namespace)).replaces

    assert replaces == ["spec.selector.matchLabels.app"]


def test_a_replaced_object_is_gone_and_the_new_one_has_another_name(api, engine, namespace):
    made = engine.create(config(namespace))

    other = engine.up(made, config(namespace, "blue"))

    assert other.id != made.id
    assert now(api, other)["data"] == {"colour": "blue"}
    assert now(api, made) is None


def test_a_name_that_a_person_chose_is_free_before_it_is_taken_again(api, engine, namespace):
    made = engine.create(config(namespace, name="mine"))
    uid = now(api, made)["metadata"]["uid"]

    assert engine.diff(made, config(namespace, "blue", name="mine")).deleteBeforeReplace
    other = engine.up(made, config(namespace, "blue", name="mine"))

    assert other.id == made.id
    assert now(api, other)["data"] == {"colour": "blue"}
    assert now(api, other)["metadata"]["uid"] != uid


@pytest.mark.parametrize("change", [{"name": "other"}, {"namespace": "default"}])
def test_another_name_or_namespace_is_another_object(engine, namespace, change):
    wanted = config(namespace, name=f"mine-{secrets.token_hex(3)}")
    made = engine.create(wanted)
    metadata = {**wanted["metadata"], **change}

    diff = engine.diff(made, {**wanted, "metadata": metadata})

    assert diff.replaces == [f"metadata.{key}" for key in change]
    assert not diff.deleteBeforeReplace


# What others do to the objects.


def test_a_change_by_hand_is_found_by_a_refresh_and_not_before(api, engine, namespace):
    wanted = with_labels(config(namespace), team="a")
    made = engine.create(wanted)
    edited_by_hand(api, made, team="mine")

    assert not engine.changes(made, wanted)
    assert engine.changes(engine.refresh(made), wanted)


def test_what_others_added_is_left_to_them(api, engine, namespace):
    wanted = with_labels(config(namespace), team="a")
    made = engine.create(wanted)
    edited_by_hand(api, made, floor="3")

    assert not engine.changes(engine.refresh(made), wanted)


def test_a_change_by_hand_is_not_overwritten_unasked(api, engine, namespace):
    wanted = with_labels(config(namespace), team="a")
    made = engine.create(wanted)
    edited_by_hand(api, made, team="mine")

    with pytest.raises(Refused, match='conflict with "kubectl-edit"'):
        engine.up(engine.refresh(made), wanted)


def test_a_change_by_hand_is_put_right_where_the_program_says_so(api, engine, namespace):
    wanted = with_labels(config(namespace), team="a")
    made = engine.create(wanted)
    edited_by_hand(api, made, team="mine")
    wanted["metadata"]["annotations"] = {"pulumi.com/patchForce": "true"}

    engine.up(engine.refresh(made), wanted)

    assert now(api, made)["metadata"]["labels"] == {"team": "a"}


def test_what_was_deleted_by_hand_is_not_there_for_a_refresh(api, engine, namespace):
    made = engine.create(config(namespace))
    api.delete(Reference.of(now(api, made)), "Background")

    assert engine.refresh(made) is None
    engine.delete(made)


# Ready, and gone.


def test_a_deployment_is_ready_when_its_pods_are(api, engine, namespace):
    probe = {"exec": {"command": [*SHELL, "test -e /tmp/ready"]}, "periodSeconds": 1}
    command = "sleep 2; touch /tmp/ready; sleep 1000"

    made = engine.create(deployment(namespace, command=[*SHELL, command], readinessProbe=probe))

    assert made.outputs["status"]["readyReplicas"] == 1


def test_a_deployment_is_rolled_out_when_the_new_pods_are_ready(api, engine, namespace):
    wanted = deployment(namespace)
    made = engine.create(wanted)
    changed = copy.deepcopy(wanted)
    changed["spec"]["template"]["spec"]["containers"][0]["command"][-1] = "sleep 2000"

    rolled = engine.up(made, changed)

    (running,) = [
        each
        for each in api.listed("v1", "Pod", namespace)
        if each["metadata"]["labels"].items() >= wanted["spec"]["selector"]["matchLabels"].items()
        and "deletionTimestamp" not in each["metadata"]
    ]
    assert rolled.id == made.id
    assert running["spec"]["containers"][0]["command"][-1] == "sleep 2000"


def test_a_job_is_ready_when_it_has_ended(engine, namespace):
    made = engine.create(job(namespace, "sleep 1"))

    assert made.outputs["status"]["succeeded"] == 1


def test_a_service_is_ready_when_a_pod_is_behind_it(engine, namespace):
    workload = deployment(namespace)
    engine.create(workload)
    metadata = {"namespace": namespace, "name": "small"}
    spec = {"selector": workload["spec"]["selector"]["matchLabels"], "ports": [{"port": 80}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}

    made = engine.create(service)
    assert made.outputs["spec"]["clusterIP"]

    nobody = {**service, "metadata": {**metadata, "name": "nobody"}}
    nobody["spec"] = {**spec, "selector": {"app": "nobody"}}
    with pytest.raises(NotReady, match="does not target any Pods"):
        engine.create(nobody, timeout=2)


def test_who_says_so_is_not_waited_for(engine, namespace):
    wanted = deployment(namespace, image="registry.invalid/nothing:1")
    wanted["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}

    made = engine.create(wanted)

    assert "readyReplicas" not in made.outputs["status"]


def test_a_deployment_is_gone_when_its_pods_are(api, engine, namespace):
    wanted = deployment(namespace)
    made = engine.create(wanted)

    engine.delete(made)

    labels = wanted["spec"]["selector"]["matchLabels"].items()
    left = [p["metadata"]["labels"] for p in api.listed("v1", "Pod", namespace)]
    assert now(api, made) is None
    assert not [each for each in left if each.items() >= labels]


# What does not become ready says why.


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"image": "registry.invalid/nothing:1"}, r"\[(ErrImagePull|ImagePullBackOff)\] .*nothing"),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "none", "key": "a"}}}]},
            r'\[CreateContainerConfigError\] secret "none" not found',
        ),
        (
            # Without the probe it would be ready for the moment that it lives.
            {"command": [*SHELL, "echo no such database; exit 3"], "readinessProbe": NEVER},
            r"\[CrashLoopBackOff\] [\s\S]*exit code 3[\s\S]*no such database",
        ),
        (
            {"resources": {"requests": {"memory": "100Ti"}}},
            r"\[Unschedulable\] .*Insufficient memory",
        ),
    ],
    ids=["image", "secret", "crash", "memory"],
)
def test_a_pod_that_cannot_run_ends_the_wait_with_its_own_reason(
    engine, namespace, container, reason
):
    with pytest.raises(NotReady, match=reason) as failure:
        engine.create(deployment(namespace, **container))

    assert "timed out waiting to be Ready" in str(failure.value)
    engine.delete(failure.value.kept)


def test_a_rollout_that_cannot_end_leaves_the_old_pods_serving(engine, namespace):
    wanted = deployment(namespace)
    made = engine.create(wanted)
    changed = copy.deepcopy(wanted)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.invalid/nothing:1"

    with pytest.raises(NotReady, match="nothing") as failure:
        engine.up(made, changed)

    assert failure.value.kept.outputs["status"]["readyReplicas"] == 1


def test_a_job_that_fails_ends_the_wait_with_its_last_words(engine, namespace):
    with pytest.raises(NotReady) as failure:
        engine.create(job(namespace, "echo the schema is newer; exit 4"))

    assert "[BackoffLimitExceeded]" in str(failure.value)
    assert "[Error] the schema is newer" in str(failure.value)


def test_a_time_limit_ends_the_wait(engine, namespace):
    with pytest.raises(NotReady, match=r"containers with unready status: \[main\]"):
        engine.create(deployment(namespace, readinessProbe=NEVER), timeout=2)


def test_a_refresh_says_what_is_not_ready(api, engine, namespace):
    wanted = deployment(namespace)
    made = engine.create(wanted)
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.invalid/nothing:1"
    wanted["metadata"]["name"] = made.id.partition("/")[2]
    api.apply(wanted, "kubectl-edit", force=True)

    with pytest.raises(NotReady):
        engine.refresh(made)


def test_what_the_server_refuses_is_told_in_its_words(engine, namespace):
    with pytest.raises(Refused, match="a valid label must be"):
        engine.create(with_labels(config(namespace), team="not a label"))


# Through the real engine.


def test_a_program_on_a_cluster(tmp_path: Path, api: ApiServer, kubeconfig: str, namespace: str):
    """One story, because every word with the CLI takes seconds."""
    metadata = {"namespace": namespace, "labels": {"story": "true"}}
    spelled = {"secret": {"string_data": {"password": PASSWORD}}}

    def written() -> set[str]:
        kinds = [
            api.listed("v1", k, namespace, label_selector="story") for k in ("ConfigMap", "Secret")
        ]
        return {each["metadata"]["name"] for kind in kinds for each in kind}

    with cloud_on(ClusterProvider()) as cloud:
        program = SmallProgram(tmp_path, pulumi_cli.find(), cloud, kubeconfig)
        program.objects = {
            "config": ("core.v1.ConfigMap", {"metadata": metadata, "data": {"colour": "red"}}, {}),
            "secret": ("core.v1.Secret", {"metadata": metadata}, {**spelled, "after": ["config"]}),
        }

        program.preview()
        assert written() == set(), "a preview writes nothing"

        program.up()
        assert len(written()) == 2
        program.up("--expect-no-changes")
        program.refresh("--expect-no-changes")

        spellings = {PASSWORD, base64.b64encode(PASSWORD.encode()).decode()}
        files = [file for file in program.backend.folder.rglob("*") if file.is_file()]
        for file in files:
            text = file.read_text(errors="replace")
            assert not [s for s in spellings if s in text], f"a secret in plain text in {file}"
        shown = program.pulumi("stack", "export", "--show-secrets")
        assert any(s in shown for s in spellings), "an empty search proves nothing"

        program.objects["config"][1]["data"] = {"colour": "blue"}
        assert ("replace", "config") in program.preview()

        program.objects["bad"] = (
            "apps.v1.Deployment",
            {
                "metadata": {"namespace": namespace},
                "spec": deployment(namespace, image="registry.invalid/nothing:1")["spec"],
            },
            {"create": "10s"},
        )
        with pytest.raises(Refusal, match=r"\[(ErrImagePull|ImagePullBackOff)\] .*nothing"):
            program.up()

        program.destroy()
        assert written() == set()
