"""`mlflow run --backend platform` and what follows it: a real server, a stand-in cluster."""

import json
import os
import signal
import subprocess
from itertools import takewhile

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import ExecutionException

from mlflow_platform_client.__main__ import main
from tests import installed, kubernetes_schemas, preloaded
from tests.client import door, kubernetes_api
from tests.client.kubernetes_api import CONTEXT, NAMESPACE
from tests.local.eventually import eventually
from tests.processes import ended_with_the_test

PROJECT = """\
name: small
entry_points:
  main:
    parameters: {word: {type: string, default: morning}}
    command: "echo good {word}"
  needs: {parameters: {word: string}, command: "echo {word}"}
  sleep: {command: "echo asleep; sleep 600"}
  fail: {command: "echo no flights; exit 3"}
"""


@pytest.fixture
def folder(lay_out):
    return lay_out("small", {"MLproject": PROJECT})


@pytest.fixture
def cluster(tmp_path):
    place = tmp_path / "cluster"
    place.mkdir()
    with kubernetes_api.served(place) as api:
        yield api


@pytest.fixture
def config(server, cluster):
    return {
        "namespace": NAMESPACE,
        "context": CONTEXT,
        "kubeconfig": str(cluster.folder / "kubeconfig"),
        "image": f"training@sha256:{7:064}",
        "tracking-uri": server,
    }


@pytest.fixture
def runs(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return MlflowClient(server)


@pytest.fixture
def experiment(runs, request):
    """One of the test's own."""
    return runs.create_experiment(request.node.name)


@pytest.fixture
def submit(runs, experiment, folder, config, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(installed.client(tmp_path / "client")))

    def submitted(entry_point="main", synchronous=False, **settings):
        return mlflow.projects.run(
            str(folder),
            entry_point,
            experiment_id=experiment,
            backend="platform",
            backend_config=config | settings,
            synchronous=synchronous,
        )

    return submitted


@pytest.fixture
def type_(runs, config, folder, tmp_path):
    """Start a command as a person would type it."""
    path = [installed.client(tmp_path / "typed"), installed.CLIENT]
    assert folder.parent == tmp_path
    (tmp_path / "platform.json").write_text(json.dumps(config))
    with ended_with_the_test() as start:

        def typed(module, *arguments):
            return start(
                [preloaded.python(), "-u", "-m", module, *map(str, arguments)],
                cwd=tmp_path,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))},
                stdin=subprocess.DEVNULL,
            )

        yield typed


@pytest.fixture
def ask(runs, tmp_path, monkeypatch, capsys):
    """Do what `mlflow-platform` does, here, where MLflow is imported already; what it prints."""
    monkeypatch.chdir(tmp_path)

    def asked(*arguments):
        monkeypatch.setattr("sys.argv", ["mlflow-platform", *arguments])
        main()
        return capsys.readouterr().out

    return asked


@pytest.fixture
def closed(server, config, runs, monkeypatch):
    """The same server behind a login, which this shell has."""
    with door.before(server, "ana", "hunter2") as there:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", there.uri)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ana")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
        config["tracking-uri"] = there.uri
        yield there


RUN_IT = ("run", "small", "--backend=platform", "--backend-config=platform.json")


def test_mlflow_run_shows_the_log_and_ends_well_with_the_job(type_, runs, experiment):
    options = (f"--experiment-id={experiment}", "--run-name=first", "-Pword=evening")
    said, _ = type_("mlflow", *RUN_IT, *options).communicate()

    assert "good evening\n" in said
    (run,) = runs.search_runs([experiment])
    assert f"finished   run {run.info.run_id}\n" in said
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert run.data.params == {"word": "evening"}
    assert run.data.tags["mlflow.project.backend"] == "platform"


def test_ctrl_c_where_nobody_can_answer_leaves_the_job_and_says_how_to_go_on(
    type_, ask, runs, experiment, capsys
):
    options = ("--entry-point=sleep", f"--experiment-id={experiment}", "--run-name=night")
    process = type_("mlflow", *RUN_IT, *options)
    said = list(takewhile(lambda line: not line.startswith("asleep"), process.stdout))
    assert process.poll() is None, said

    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()

    (run,) = runs.search_runs([experiment])
    assert process.returncode == 1, "it is not known to have succeeded"
    assert f"left running. To watch it: mlflow-platform logs {run.info.run_id}" in said
    assert "Traceback" not in said
    assert (run.info.status, run.info.run_name) == ("RUNNING", "night")
    assert run.data.tags["mlflow.project.backend"] == "platform"

    said = ask("status", run.info.run_id)
    assert f"run        {run.info.run_id} RUNNING\njob        small-" in said
    said, _ = type_("mlflow_platform_client", "cancel", run.info.run_id).communicate()
    assert "cancelled by" in said
    assert runs.get_run(run.info.run_id).info.status == "KILLED"
    with pytest.raises(SystemExit, match=r"^error: the tracking server says: "):
        ask("status", "unknown")
    with pytest.raises(SystemExit, match=r"^error: .* has no Job in namespace mlflow-training.*\Z"):
        ask("logs", run.info.run_id)
    assert capsys.readouterr() == ("", ""), "this one line is all"


@pytest.mark.parametrize(("answer", "status"), [("c", "KILLED"), ("k", "FINISHED")])
def test_ctrl_c_asks_and_does_what_is_answered(submit, runs, monkeypatch, answer, status):
    from mlflow_platform_client.submitted import SubmittedJob

    asked = []
    follow = SubmittedJob.follow

    def interrupted(self):
        if asked:
            return follow(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(SubmittedJob, "follow", interrupted)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answer)
    submitted = submit("sleep" if answer == "c" else "main", wait=False)

    assert submitted.wait() is (status == "FINISHED")

    assert "[l]eave it running, [c]ancel it, [k]eep watching" in asked[0]
    assert runs.get_run(submitted.run_id).info.status == status


def test_without_waiting_it_returns_at_once_and_the_run_still_ends_truthfully(submit, runs):
    submitted = submit("fail", wait=False)

    eventually(lambda: runs.get_run(submitted.run_id).info.status == "FAILED")
    assert not submitted.wait()
    assert submitted.get_status() == "FAILED"


def test_the_run_tells_what_was_submitted_and_a_project_is_uploaded_once(
    submit, runs, folder, config, capsys
):
    (folder / "of_this_test").touch()
    first, second = submit(wait=False), submit(wait=False)

    said = capsys.readouterr().out
    assert said.count("uploaded") == said.count("which the server has already") == 1
    assert f"next       mlflow-platform status {first.run_id}, or logs, or cancel\n" in said
    tags, again = (runs.get_run(each.run_id).data.tags for each in (first, second))
    assert tags["image"] == again["image"] == config["image"]
    assert len(tags["project.sha256"]) == 64
    assert tags["project.sha256"] == again["project.sha256"]


def test_a_login_in_the_address_of_the_server_is_not_shown(
    submit, runs, server, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.replace("://", "://ana:hunter2@"))
    submit(wait=False)

    said = capsys.readouterr().out
    assert f"run        {server}/#/experiments/" in said
    assert "hunter2" not in said


@pytest.mark.usefixtures("closed")
def test_a_job_logs_in_as_who_submitted_it_and_takes_the_login_along_when_it_goes(
    submit, runs, cluster
):
    submitted = submit("sleep", wait=False)
    eventually(lambda: b"asleep" in cluster.pods[0].log.read_bytes())

    assert "hunter2" not in json.dumps(cluster.jobs)
    (secret,) = cluster.secrets.values()
    kubernetes_schemas.validate(secret)
    assert secret["stringData"] == {
        "MLFLOW_TRACKING_USERNAME": "ana",
        "MLFLOW_TRACKING_PASSWORD": "hunter2",
    }
    submitted.cancel()
    assert cluster.secrets == {}


@pytest.mark.usefixtures("closed")
def test_a_login_that_was_chosen_for_jobs_counts_more_than_the_one_of_who_submits(submit, cluster):
    chosen = {"MLFLOW_TRACKING_USERNAME": "robot", "MLFLOW_TRACKING_PASSWORD": "wrong"}
    cluster.secrets["robot"] = {"metadata": {"name": "robot"}, "stringData": chosen}

    submit(secrets=["robot"], wait=False)

    (pod,) = cluster.pods
    eventually(lambda: b"answers 401" in pod.log.read_bytes())


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("refused", ["jobs", "secrets"])
def test_a_job_or_a_login_that_the_cluster_refuses_leaves_neither(
    submit, cluster, runs, experiment, refused
):
    cluster.refusals[refused] = (403, f"{refused} is forbidden: User ana")

    with pytest.raises(ExecutionException, match=rf"(?i)may not create {refused} .*access\.people"):
        submit()

    assert cluster.jobs == []
    assert cluster.secrets == {}
    (run,) = runs.search_runs([experiment])
    assert run.info.status == "FAILED"


def test_a_server_without_logins_has_none_of_them_handed_to_jobs(submit, cluster, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ana")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")

    assert submit(wait=False).wait()
    assert cluster.secrets == {}


@pytest.mark.parametrize(
    ("user", "password", "words"),
    [
        (None, None, "wants a login, and none is set here. Type: export MLFLOW_TRACKING_USERNAME"),
        ("ana", None, "wants a login, and ana has no password here. Type: "),
        ("ana", "hunter3", "refuses ana with the password that is set here. Type: "),
    ],
)
def test_without_the_right_login_a_person_is_told_what_to_type_before_anything_is_created(
    submit, closed, cluster, runs, experiment, monkeypatch, user, password, words
):
    for name, value in (("USERNAME", user), ("PASSWORD", password)):
        if value is None:
            monkeypatch.delenv(f"MLFLOW_TRACKING_{name}")
        else:
            monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)

    with pytest.raises(ExecutionException, match=words) as refusal:
        submit()

    assert "\n" not in str(refusal.value)
    assert runs.search_runs([experiment]) == []
    assert cluster.jobs == []


def test_who_may_not_log_to_an_experiment_is_told_whom_to_ask(submit, closed, experiment):
    closed.forbidden.add("/api/2.0/mlflow/runs/create")

    with pytest.raises(ExecutionException, match=f"may not start runs in experiment {experiment}"):
        submit()


def test_ctrl_c_before_there_is_a_job_ends_the_run(submit, cluster, runs, experiment, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow_platform_client.store.put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        submit()

    (run,) = runs.search_runs([experiment])
    assert run.info.status == "KILLED"
    assert run.data.tags["stopped"] == "Ctrl-C, before there was a Job"
    assert cluster.jobs == []


def test_a_python_program_that_waits_sees_the_failure(submit, runs, experiment):
    with pytest.raises(ExecutionException, match="failed"):
        submit("fail", synchronous=True)

    (run,) = runs.search_runs([experiment])
    assert run.info.status == "FAILED"


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (403, "jobs.batch is forbidden: User ana", "may not create Jobs .*access.people"),
        (404, 'namespaces "mlflow-training" not found', "there is no namespace mlflow-training"),
        (401, "Unauthorized", "does not know you any more. Log in again"),
        (500, "etcdserver: request timed out", "is busy: etcdserver"),
    ],
)
def test_a_refused_job_fails_the_run_with_the_reason(
    submit, cluster, runs, experiment, code, message, words
):
    cluster.refusals["jobs"] = (code, message)

    with pytest.raises(ExecutionException, match=words):
        submit()

    (run,) = runs.search_runs([experiment])
    assert run.info.status == "FAILED"
    assert run.data.tags["failure"]
    assert cluster.jobs == []


@pytest.mark.parametrize(
    ("entry_point", "settings", "words"),
    [
        ("main", {"gpu": 1}, "unknown key gpu. Did you mean gpus"),
        ("needs", {}, "Add: -P word=VALUE"),
        ("nothing", {}, "Could not find nothing among entry points"),
        ("main", {"context": "elsewhere"}, "context elsewhere is not in your kubeconfig"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_created(
    submit, cluster, runs, experiment, entry_point, settings, words
):
    with pytest.raises(ExecutionException, match=words):
        submit(entry_point, **settings)

    assert runs.search_runs([experiment]) == []
    assert cluster.jobs == []


def test_a_folder_that_is_not_there_is_no_address_of_a_repository(submit, folder):
    folder.rename(folder.with_name("other"))

    with pytest.raises(ExecutionException, match="small is no folder"):
        submit()


def test_a_store_on_this_machine_is_refused(submit, runs, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")

    with pytest.raises(ExecutionException, match=r"sqlite:…, no server\. Type the line"):
        submit()


def test_a_cluster_that_does_not_answer_is_told_in_one_line(submit, cluster, experiment, runs):
    file = cluster.folder / "kubeconfig"
    file.write_text(file.read_text().replace("http://127.0.0.1:", "http://127.0.0.1:1"))

    with pytest.raises(ExecutionException, match="does not answer.*kubectl get pods"):
        submit()


def test_a_deleted_job_ends_its_run_as_killed(submit, cluster, runs):
    submitted = submit("sleep", wait=False)
    cluster.delete(cluster.jobs[0]["metadata"]["name"])

    assert not submitted.wait()

    assert submitted.get_status() == "KILLED"
    assert runs.get_run(submitted.run_id).info.status == "KILLED"
