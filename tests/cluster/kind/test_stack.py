"""The platform `kubernetes` from `up` to `destroy`, on a real cluster."""

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient

from components import postgres
from server.spec import S3_KEYS, SIZES
from tests import preloaded

from . import training_job
from .stack import Stack

TRAIN = "python train.py forest --rows 3000 --n_estimators 5"
READ = """\
import sys
import mlflow

for run in sys.argv[1:]:
    model = mlflow.pyfunc.load_model(f"runs:/{run}/model")
    print("predicted", *sorted(set(model.predict(model.input_example))))
"""
PREDICTED = re.compile(r"^predicted( [01])+$", re.MULTILINE)


@pytest.fixture(scope="module")
def job(stack: Stack) -> str:
    """The id of a run that a Job has trained and read back."""
    command = f"""\
{TRAIN} | tee /tmp/said
python -c '{READ}' "$(grep -o '/runs/[0-9a-f]*' /tmp/said | cut -d/ -f3)"
"""
    said = training_job.run(stack, command, MLFLOW_EXPERIMENT_NAME="in the cluster")
    assert PREDICTED.search(said), said
    found = re.search(r"/runs/([0-9a-f]+)", said)
    assert found, said
    return found[1]


@pytest.fixture(scope="module")
def tunnel(stack: Stack) -> Iterator[str]:
    with stack.tunnel() as uri:
        yield uri


@pytest.fixture(scope="module")
def passwords(stack: Stack) -> list[str]:
    """Every one that the program has made, as the cluster has it."""
    secrets = [each.get("data", {}) for each in stack.objects("secrets")]
    kept = (postgres.OWNER, postgres.RUNTIME, S3_KEYS[1])
    encoded = {one[key] for one in secrets for key in kept if key in one}
    assert len(encoded) == len(kept)
    return [base64.b64decode(each).decode() for each in encoded]


def ready(pod: dict) -> bool:
    conditions = {each["type"]: each["status"] for each in pod["status"]["conditions"]}
    return conditions.get("Ready") == "True"


def test_every_pod_is_ready_when_up_ends(stack):
    pods = {part: stack.pods(part) for part in ("database", "objects", "tracking")}

    assert {part: len(found) for part, found in pods.items()} == {
        "database": 1,
        "objects": 1,
        "tracking": 2,
    }
    for pod in (pod for found in pods.values() for pod in found):
        assert ready(pod)
        assert [each["restartCount"] for each in pod["status"]["containerStatuses"]] == [0]


def test_the_servers_have_what_their_size_says(stack):
    for pod in stack.pods():
        (server,) = pod["spec"]["containers"]
        assert server["resources"]["limits"]["memory"] == f"{SIZES['small'].memory_mib}Mi"


def test_a_second_up_changes_nothing(stack):
    before = {pod["metadata"]["uid"] for pod in stack.objects("pods")}

    stack.up("--expect-no-changes")

    assert {pod["metadata"]["uid"] for pod in stack.objects("pods")} == before


def test_a_browser_needs_few_bytes_to_show_the_page(tunnel):
    page = requests.get(f"{tunnel}/", timeout=60).text
    files = re.findall(r'(?:src|href)="(static-files/[^"]+\.(?:js|css))"', page)
    assert files
    bytes_by_encoding = {
        encoding: sum(
            int(
                requests.head(
                    f"{tunnel}/{file}", headers={"Accept-Encoding": encoding}, timeout=60
                ).headers["Content-Length"]
            )
            for file in files
        )
        for encoding in ("identity", "gzip")
    }

    assert bytes_by_encoding["gzip"] * 3.5 < bytes_by_encoding["identity"]


def test_a_job_trains_and_logs_and_reads_back_what_it_logged(job):
    assert job


def test_what_a_job_logged_is_there_through_the_tunnel(job, tunnel):
    run = MlflowClient(tunnel).get_run(job)
    assert run.info.status == "FINISHED"
    assert run.data.params["rows"] == "3000"


def test_a_scientist_trains_through_the_tunnel_and_reads_models_back(stack, job, tunnel):
    command = ["mlflow", "run", stack.program / "training", "--env-manager=local"]
    command += ["--entry-point=forest", "--experiment-name=tunnel", "-Prows=3000"]
    command += ["-Pn_estimators=5"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": tunnel}
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=True)

    client = MlflowClient(tunnel)
    (run,) = client.search_runs([client.get_experiment_by_name("tunnel").experiment_id])
    assert run.data.metrics["accuracy"] > 0.5
    # In a process of its own: to load one, skops looks through every module that there is.
    read = [preloaded.python(), "-c", READ, job, run.info.run_id]
    said = subprocess.check_output(read, env=environment, text=True)
    assert len(PREDICTED.findall(said)) == 2


def test_a_refresh_finds_no_drift(stack):
    stack.refresh("--expect-no-changes")


def test_no_secret_is_in_plain_text_in_the_state(stack, passwords):
    shown = stack.pulumi("stack", "export", "--show-secrets")
    kept = [*stack.backend.folder.rglob("*"), *stack.program.rglob("*")]

    for password in passwords:
        spellings = {password, base64.b64encode(password.encode()).decode()}
        assert any(each in shown for each in spellings), "an empty search proves nothing"
        for file in filter(Path.is_file, kept):
            text = file.read_text(errors="replace")
            assert not [each for each in spellings if each in text], file


def test_no_secret_is_in_anything_but_the_secrets_of_the_cluster(stack, passwords):
    kinds = ("pods", "deployments", "statefulsets", "jobs", "configmaps", "events")
    shown = json.dumps([stack.objects(kind) for kind in kinds])
    logs = [stack.kubectl("logs", pod["metadata"]["name"]) for pod in stack.objects("pods")]

    assert [each for each in passwords if each in shown] == []
    assert [each for each in passwords if any(each in log for log in logs)] == []
