"""Projects that run as Jobs, submitted by somebody in `access.people` who has no Docker."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner, Result
from kubernetes import client
from mlflow import MlflowClient
from mlflow.cli import cli
from mlflow.entities import Run

from mlflow_platform_client import files, handoff, reasons
from mlflow_platform_client.__main__ import main
from mlflow_platform_client.job import RUN
from mlflow_platform_client.submitted import SubmittedJob
from tests import installed
from tests.local.eventually import eventually

from .stack import PERSON, Stack

PROJECT = """\
name: small
entry_points:
  main: {command: "cat greeting; echo $$ is not $(id -u)"}
  sleep: {command: "echo asleep; sleep 600"}
  fail: {command: "echo 'there is no such flight' >&2; exit 3"}
  devour: {command: "head -c 200m /dev/zero | tail"}
"""
SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}
TRAINING = {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}

Submit = Callable[..., SubmittedJob]


@pytest.fixture(scope="module")
def uri(stack: Stack) -> Iterator[str]:
    with stack.tunnel() as uri, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        yield uri


@pytest.fixture(scope="module")
def runs(uri: str) -> MlflowClient:
    return MlflowClient(uri)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that needs nothing but a shell."""
    place = tmp_path_factory.mktemp("small")
    (place / "MLproject").write_text(PROJECT)
    (place / "greeting").write_text("good morning\n")
    return place


@pytest.fixture(scope="module")
def config(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `connect` writes, for somebody with no more rights than a scientist has."""
    found = handoff.parse(json.dumps(stack.outputs()), "the stack")
    folder = tmp_path_factory.mktemp("connected")
    files.write(found, folder)
    written = json.loads((folder / "platform.json").read_text())
    return dict(written) | {"kubeconfig": str(stack.kubeconfig_of_person()), "resources": SMALL}


@pytest.fixture(scope="module")
def submit(
    uri: str, folder: Path, config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Submit]:
    """Submit an entry point from Python, and do not wait for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(installed.client(tmp_path_factory.mktemp("client"))))

        def submitted(entry_point: str, **settings: object) -> SubmittedJob:
            more = {key.replace("_", "-"): value for key, value in settings.items()}
            return mlflow.projects.run(
                str(folder),
                entry_point,
                experiment_name="jobs",
                backend="platform",
                backend_config=config | more | {"wait": False},
                synchronous=False,
            )

        yield submitted


@pytest.fixture
def mlflow_run(submit: Submit, config: dict[str, Any], tmp_path: Path) -> Callable[..., Result]:
    """`mlflow run` as the command line has it, without the seconds that a new Python takes."""

    def typed(project: Path, *options: str, **settings: object) -> Result:
        file = tmp_path / "platform.json"
        file.write_text(json.dumps(config | settings))
        backend = ("--backend=platform", f"--backend-config={file}", "--experiment-name=jobs")
        return CliRunner().invoke(cli, ["run", str(project), *backend, *options])

    return typed


@pytest.fixture
def type_(
    uri: str, config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Type a command in a folder with `platform.json`."""
    (tmp_path / "platform.json").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> None:
        monkeypatch.setattr("sys.argv", ["mlflow-platform", *words])
        main()

    return typed


def newest(runs: MlflowClient) -> Run:
    experiment = runs.get_experiment_by_name("jobs")
    return runs.search_runs([experiment.experiment_id], max_results=1)[0]


def says(submitted: SubmittedJob, *words: str) -> bool:
    said = reasons.waiting(submitted.settle())
    return all(word in said for word in words)


@pytest.fixture
def asleep(stack: Stack, submit: Submit) -> Iterator[SubmittedJob]:
    """A Job whose program is at work; afterwards nothing of it is left."""
    submitted = submit("sleep")

    def at_work() -> bool:
        logs = ("logs", f"--selector={RUN}={submitted.run_id}")
        return submitted.settle().running and "asleep" in stack.kubectl(
            *logs, namespace=stack.training
        )

    eventually(at_work)
    yield submitted
    if not submitted.settle().ended:
        submitted.cancel()


def test_the_training_project_runs_as_a_job_with_its_log_on_the_screen(stack, runs, mlflow_run):
    project = stack.program / "training"
    ended = mlflow_run(project, "--run-name=first", "-Prows=3000", resources=TRAINING)

    assert ended.exit_code == 0, ended.output
    assert "uploaded" in ended.output
    assert "accuracy" in ended.output, "the log"
    run = newest(runs)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "first"
    assert run.data.params["rows"] == "3000"
    assert 0 < run.data.metrics["accuracy"] < 1
    assert run.data.tags["image"] == stack.outputs()["trainingImage"]


def test_a_project_that_the_server_has_is_not_uploaded_again(submit, runs, capsys):
    first, second = submit("main"), submit("main")

    assert first.wait()
    assert second.wait()
    said = capsys.readouterr().out
    assert said.count("uploaded") == said.count("which the server has already") == 1
    assert said.count("good morning\n1 is not 1000\n") == 0, "a shell is not the first process"
    assert said.count("good morning") == said.count(" is not 1000\n") == 2
    digests = {runs.get_run(each.run_id).data.tags["project.sha256"] for each in (first, second)}
    assert len(digests) == 1


def test_a_command_that_fails_fails_the_run_and_mlflow_run(runs, mlflow_run, folder):
    ended = mlflow_run(folder, "--entry-point=fail")

    assert ended.exit_code == 1
    assert "there is no such flight" in ended.output
    assert "exit code 3; the log says why" in ended.output
    run = newest(runs)
    assert run.info.status == "FAILED"
    assert run.data.tags["failure"] == "the command ended with exit code 3"


def test_more_memory_than_its_limit_is_told_with_the_limit(submit, runs, capsys):
    submitted = submit("devour")

    assert not submitted.wait()
    assert "more memory than its limit of 64Mi" in capsys.readouterr().out
    assert runs.get_run(submitted.run_id).info.status == "FAILED"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gpus": 1}, ("no node has 1 GPU free", '"gpus": 0')),
        ({"node_selector": {"pool": "gold"}}, ("the label pool=gold", "correct node-selector")),
        ({"secrets": ["nowhere"]}, ("there is no Secret nowhere", "create it")),
        ({"service_account": "nobody"}, ("no service account nobody", "connect STACK")),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_a_job_that_cannot_start_says_why_and_what_to_do(submit, runs, settings, words):
    submitted = submit("main", **settings)
    try:
        eventually(lambda: says(submitted, *words))
    finally:
        submitted.cancel()
    assert runs.get_run(submitted.run_id).info.status == "KILLED"


def test_an_image_that_does_not_exist_is_named(submit, config):
    image = f"{config['image'].partition('@')[0]}@sha256:{0:064}"
    submitted = submit("main", image=image)
    try:
        words = (f"image {image} does not exist", "Correct image")
        eventually(lambda: says(submitted, *words))
    finally:
        submitted.cancel()


def test_a_quota_is_told_with_its_numbers(stack, submit):
    quota = ("resourcequota", "small", f"--namespace={stack.training}")
    stack.cluster.kubectl("create", *quota, "--hard=requests.cpu=5m")
    try:
        submitted = submit("main")
        words = (
            "quota small is used up",
            "asks for requests.cpu=10m",
            "allowed is requests.cpu=5m",
        )
        eventually(lambda: says(submitted, *words))
    finally:
        stack.cluster.kubectl("delete", *quota)
    submitted.cancel()


@contextmanager
def gpu(api: client.ApiClient) -> Iterator[None]:
    """Have a node say that it has one, as a device plugin would."""
    core = client.CoreV1Api(api)
    name = core.list_node().items[0].metadata.name
    paths = [f"/status/{kind}/nvidia.com~1gpu" for kind in ("capacity", "allocatable")]
    core.patch_node_status(name, [{"op": "add", "path": path, "value": "1"} for path in paths])
    try:
        yield
    finally:
        core.patch_node_status(name, [{"op": "remove", "path": path} for path in paths])


def test_a_job_that_asks_for_a_gpu_runs_where_there_is_one(api, submit):
    with gpu(api):
        assert submit("main", gpus=1).wait()


def test_a_deleted_job_ends_its_run_as_killed(stack, asleep, runs):
    chosen = f"--selector={RUN}={asleep.run_id}"
    stack.kubectl(f"--as={PERSON}", "delete", "jobs", chosen, namespace=stack.training)

    assert not asleep.wait()
    run = runs.get_run(asleep.run_id)
    assert run.info.status == "KILLED"
    assert "deleted" in run.data.tags["stopped"]


def test_a_job_whose_node_is_emptied_goes_on_elsewhere_and_the_run_tells(api, asleep, runs):
    first = asleep.settle().pod["metadata"]["name"]
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=first))
    client.CoreV1Api(api).create_namespaced_pod_eviction(first, asleep.namespace, eviction)

    def goes_on() -> bool:
        view = asleep.settle()
        replaced = view.running and view.pod["metadata"]["name"] != first
        return replaced and runs.get_run(asleep.run_id).info.status == "RUNNING"

    eventually(goes_on)
    assert "emptied" in runs.get_run(asleep.run_id).data.tags["interrupted"]


def test_a_run_is_looked_at_and_cancelled_from_another_shell(asleep, runs, type_, capsys):
    type_("status", asleep.run_id)
    said = capsys.readouterr().out
    assert f"{asleep.run_id} RUNNING" in said
    assert said.endswith(" Running\n")

    type_("cancel", asleep.run_id)
    assert f"killed     run {asleep.run_id}: cancelled by" in capsys.readouterr().out
    assert runs.get_run(asleep.run_id).info.status == "KILLED"
    assert asleep.settle().pods == []
