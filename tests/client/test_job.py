"""The manifest of a Job."""

import json

import pytest

from mlflow_platform_client import job, settings
from tests import kubernetes_schemas

CONFIG = {
    "namespace": "mlflow",
    "image": f"gcr.io/project/training@sha256:{7:064}",
    "tracking-uri": "http://mlflow-tracking.mlflow:80",
    "service-account": "training",
    "resources": {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "4Gi"}},
}
RUN_ID = f"{9:032x}"


def made(command="python train.py", project="flights", **more):
    config = CONFIG | {key.replace("_", "-"): value for key, value in more.items()}
    return job.manifest(
        settings.read(config),
        project=project,
        run_id=RUN_ID,
        experiment="4",
        digest=f"{3:064x}",
        command=command,
    )


def pod(manifest):
    return manifest["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {
            "gpus": 2,
            "node_selector": {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "secrets": ["login"],
            "deadline_seconds": 60,
        },
    ],
    ids=["least", "most"],
)
def test_kubernetes_accepts_it(more):
    kubernetes_schemas.validate(made(**more))


def test_it_is_found_by_its_run_and_so_are_its_pods():
    manifest = made()

    for each in (manifest, manifest["spec"]["template"]):
        assert each["metadata"]["labels"][job.RUN] == RUN_ID


def test_the_program_learns_its_run_and_where_the_server_is_in_the_cluster():
    (container,) = pod(made())["containers"]

    assert {
        "MLFLOW_RUN_ID": RUN_ID,
        "MLFLOW_EXPERIMENT_ID": "4",
        "MLFLOW_TRACKING_URI": CONFIG["tracking-uri"],
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",  # it has no key to sign addresses with
    }.items() <= {each["name"]: each["value"] for each in container["env"]}.items()


def test_the_stacks_image_runs_in_an_empty_folder_and_as_the_stacks_account():
    spec = pod(made())
    (container,), (volume,) = spec["containers"], spec["volumes"]
    (mount,) = container["volumeMounts"]

    assert container["image"] == CONFIG["image"]
    assert spec["serviceAccountName"] == CONFIG["service-account"]
    assert container["workingDir"] == mount["mountPath"]
    assert mount["name"] == volume["name"]
    # Or a `queue.py` of the project or of the image would stand in for Python's.
    assert container["command"][:3] == ["python", "-I", "-c"]


def test_a_login_comes_from_the_cluster_and_stands_nowhere_in_the_job():
    (container,) = pod(made(secrets=["login"]))["containers"]

    assert container["envFrom"] == [{"secretRef": {"name": "login"}}]
    named = {each["name"] for each in container["env"]}
    assert not {name for name in named if "USERNAME" in name or "PASSWORD" in name}


def test_the_login_of_who_submits_is_a_secret_of_the_jobs_own():
    manifest = job.manifest(
        settings.read(CONFIG | {"secrets": ["chosen"]}),
        project="flights",
        run_id=RUN_ID,
        experiment="4",
        digest=f"{3:064x}",
        command="true",
        login=True,
    )
    secret = job.login_secret(manifest, "uid", {"MLFLOW_TRACKING_USERNAME": "ana"})

    kubernetes_schemas.validate(secret)
    assert secret["metadata"]["namespace"] == CONFIG["namespace"]
    assert secret["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "flights-000000000000", "uid": "uid"}
    ]
    (container,) = pod(manifest)["containers"]
    named = [each["secretRef"]["name"] for each in container["envFrom"]]
    assert named == [secret["metadata"]["name"], "chosen"]


def test_a_hardened_namespace_takes_it():
    spec = pod(made())
    (container,) = spec["containers"]

    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] > 0, "whatever user the image names"
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {next(iter(set(volume) - {"name"})) for volume in spec["volumes"]} == {"emptyDir"}


def test_gpus_are_a_limit_and_go_where_the_settings_say():
    spec = pod(made(gpus=2, node_selector={"pool": "gpu"}, tolerations=[{"operator": "Exists"}]))

    assert spec["containers"][0]["resources"]["limits"] == {"memory": "4Gi", "nvidia.com/gpu": "2"}
    assert spec["nodeSelector"] == {"pool": "gpu"}
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert "gpu" not in json.dumps(pod(made())["containers"][0]["resources"])


def test_a_program_that_failed_is_not_tried_again_and_one_that_lost_its_machine_is():
    spec = made(backoff_limit=2, ttl_seconds=60, deadline_seconds=600)["spec"]

    assert pod({"spec": spec})["restartPolicy"] == "Never"
    actions = {rule["action"]: rule for rule in spec["podFailurePolicy"]["rules"]}
    assert actions["Ignore"]["onPodConditions"][0]["type"] == "DisruptionTarget"
    assert actions["FailJob"]["onExitCodes"] == {"operator": "NotIn", "values": [143]}
    assert spec["backoffLimit"] == 2
    assert (spec["ttlSecondsAfterFinished"], spec["activeDeadlineSeconds"]) == (60, 600)


def test_kubernetes_puts_no_variable_of_its_own_into_a_command():
    (container,) = pod(made(command="echo $(date) $$ $HOME"))["containers"]

    assert container["command"][-1] == "echo $$(date) $$$$ $$HOME"


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ("flights", "flights-000000000000"),
        ("RAPIDS_MLFLOW / GCP", "rapids-mlflow-gcp-000000000000"),
        ("ünï", "n-000000000000"),
        (None, "run-000000000000"),
        ("x" * 80, f"{'x' * 40}-000000000000"),
    ],
)
def test_whatever_a_project_is_called_its_job_has_a_name_that_kubernetes_takes(project, name):
    assert made(project=project)["metadata"]["name"] == name


@pytest.mark.parametrize(
    ("project", "longest", "label"),
    [
        ("RAPIDS-MLFLOW", 40, "rapids-mlflow"),
        ("_Flights, delayed!", 40, "flights-delayed"),
        ("twelve words", 7, "twelve"),  # cut where no hyphen is left at the end
        ("飛行", 40, "run"),
        (None, 40, "run"),
    ],
)
def test_any_name_of_a_project_begins_one_that_kubernetes_allows(project, longest, label):
    assert job.label(project, longest) == label
