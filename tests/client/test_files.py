"""What `connect` writes for MLflow's commands."""

import json
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from mlflow_platform_client import files, handoff, settings
from mlflow_platform_client.problem import Problem

ROOT = Path(__file__).resolve().parents[2]


def read(outputs):
    return handoff.parse(json.dumps(outputs), "a stack")


def exported(folder):
    """What a shell knows after it has read the file."""
    command = "set -a; . ./.env; set +a; env"
    printed = subprocess.run(
        ["sh", "-c", command], cwd=folder, env={}, capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split("=", 1) for line in printed.splitlines())


def test_a_shell_learns_where_the_server_is_here_and_in_the_cluster(gke, tmp_path):
    files.write(read(gke), tmp_path)

    variables = exported(tmp_path)
    assert variables["MLFLOW_TRACKING_URI"] == gke["trackingUri"]
    assert variables["KUBE_MLFLOW_TRACKING_URI"] == gke["trackingUriInCluster"]
    assert variables["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] == "false"


def test_a_password_with_any_character_arrives_and_nobody_else_can_read_it(gke, tmp_path):
    password = 'it\'s a $HOME "quoted" `one`'

    files.write(read(gke | {"adminUser": "admin", "adminPassword": password}), tmp_path)

    assert exported(tmp_path)["MLFLOW_TRACKING_PASSWORD"] == password
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_a_stack_without_jobs_gets_no_files_for_them(local, tmp_path):
    assert files.write(read(local), tmp_path) == [tmp_path / ".env"]
    assert "KUBE_MLFLOW_TRACKING_URI" not in exported(tmp_path)


def test_the_example_in_the_training_project_is_what_a_gpu_stack_gets(gke):
    example = yaml.safe_load((ROOT / "training" / "k8s_job_template.yaml").read_text())

    assert files.job(read(gke)) == example


def test_jobs_of_mlflows_own_backend_take_the_login_that_somebody_made_for_them(gke):
    closed = read(gke | {"adminUser": "admin"})
    (container,) = files.job(closed)["spec"]["template"]["spec"]["containers"]

    assert container["envFrom"] == [{"secretRef": {"name": "mlflow-login", "optional": True}}]


def test_a_stack_without_a_gpu_asks_for_none_and_runs_on_any_node(desktop):
    pod = files.job(read(desktop))["spec"]["template"]["spec"]

    assert not {"nodeSelector", "tolerations"} & set(pod)
    assert "nvidia.com/gpu" not in json.dumps(pod)


def test_jobs_go_to_the_cluster_of_the_stack_whatever_the_current_one_is(desktop, tmp_path):
    files.write(read(desktop), tmp_path)

    assert json.loads((tmp_path / "k8s_config.json").read_text())["kube-context"] == (
        "docker-desktop"
    )


def test_mlflow_accepts_the_configuration_from_any_folder(gke, tmp_path, monkeypatch):
    from mlflow.projects import _parse_kubernetes_config

    files.write(read(gke), tmp_path)
    monkeypatch.chdir("/")
    parsed = _parse_kubernetes_config(json.loads((tmp_path / "k8s_config.json").read_text()))

    assert parsed["kube-job-template"]["metadata"]["namespace"] == gke["namespace"]
    assert parsed["repository-uri"] == "gcr.io/project/mlflow-training"


def test_our_own_backend_accepts_what_is_written_for_it(gke, tmp_path):
    files.write(read(gke), tmp_path)

    found = settings.read(json.loads((tmp_path / "platform.json").read_text()))

    assert (found.namespace, found.image) == (gke["namespace"], gke["trainingImage"])
    assert found.tracking_uri == gke["trackingUriInCluster"]
    assert found.service_account == gke["trainingServiceAccount"]
    assert (found.gpus, len(found.tolerations)) == (1, 1)


def test_the_context_is_the_one_that_the_tunnel_uses(gke, desktop):
    credentials = "gcloud container clusters get-credentials mlflow-dev --location europe-west4-a"
    command = f"{credentials} --project my-project --dns-endpoint && kubectl port-forward x 5000:80"
    google = read(gke | {"connectCommand": command})

    assert google.context == "gke_my-project_europe-west4-a_mlflow-dev"
    assert read(desktop).context == "docker-desktop"
    elsewhere = desktop["connectCommand"].replace("--context", "--kubeconfig=/a/b --context")
    assert files.platform(read(desktop | {"connectCommand": elsewhere})).kubeconfig == "/a/b"


@pytest.mark.parametrize(
    "name",
    [".env", "k8s_config.json", "k8s_job_template.yaml", "k8s_project", "platform.json"],
)
def test_somebody_elses_file_is_left_alone_and_nothing_else_is_written(gke, tmp_path, name):
    (tmp_path / name).write_text("mine")

    with pytest.raises(Problem, match=rf"{name} is there.*--folder"):
        files.write(read(gke), tmp_path, ROOT / "training")

    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {name: "mine"}


def test_its_own_files_are_brought_up_to_date(gke, desktop, tmp_path):
    files.write(read(gke), tmp_path)
    files.write(read(desktop | {"trackingUri": "http://127.0.0.1:5001"}), tmp_path)

    assert exported(tmp_path)["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5001"
    assert len(list(tmp_path.iterdir())) == 4
