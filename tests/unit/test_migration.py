"""The migration Job as it reaches Kubernetes; `tests/local` watches what runs in it."""

from dataclasses import replace

import pulumi_kubernetes as k8s
import pytest
from pulumi import Output

from components.migration import Migration, MigrationArgs
from components.sql_proxy import sql_proxy
from server.pod import SecretKey
from tests.unit.manifests import invalid

JOB = "kubernetes:batch/v1:Job"
SECRET = "kubernetes:core/v1:Secret"
URL = "postgresql+psycopg2://owner:canary@127.0.0.1:5432/mlflow"
IMAGE = "gcr.io/p/mlflow-tracking@sha256:abc"


def migration(**more):
    args = MigrationArgs(
        namespace="mlflow",
        image=IMAGE,
        owner_url=Output.secret(URL),
        runtime_role="tracking@p.iam",
        account="mlflow-migration",
        instance="p:r:i",
        sidecars=[sql_proxy("p:r:i", iam_login=False)],
    )
    return Migration("mlflow", replace(args, **more))


@pytest.fixture(scope="module")
def record(deploy):
    return deploy(migration)


@pytest.fixture(scope="module")
def job(record):
    return record.one(JOB).inputs


@pytest.fixture(scope="module")
def pod(job):
    return job["spec"]["template"]["spec"]


def test_kubernetes_knows_every_key_of_every_object(record):
    assert invalid(record) == {}


def test_the_owners_url_is_in_its_secret_and_nowhere_else(record):
    holders = {
        (r.type, key) for r in record.resources for key in r.inputs if URL in repr(r.inputs[key])
    }

    assert holders == {(SECRET, "stringData")}


def test_the_job_takes_the_url_from_the_secret(pod):
    (container,) = pod["containers"]
    url = next(v for v in container["env"] if v["name"] == "MIGRATION_OWNER_URL")

    assert url["valueFrom"] == {
        "secretKeyRef": {"name": "mlflow-migration-1a2b3c4", "key": "MIGRATION_OWNER_URL"}
    }
    assert container["command"] == ["python", "-m", "server.migration"]


@pytest.mark.parametrize(
    ("owner", "kept"),
    [
        (Output.secret(URL), {"MIGRATION_OWNER_URL": URL}),
        (SecretKey(secret="theirs", key="owner-url"), {}),
    ],
    ids=["own", "somebody else's"],
)
def test_the_first_password_of_the_admin_is_in_the_jobs_own_secret(deploy, owner, kept):
    password = Output.secret("canary-of-admin")
    record = deploy(lambda: migration(owner_url=owner, admin_password=password))
    (container,) = record.one(JOB).inputs["spec"]["template"]["spec"]["containers"]
    told = {v["name"]: v["valueFrom"]["secretKeyRef"] for v in container["env"] if "value" not in v}

    assert invalid(record) == {}
    assert record.one(SECRET).inputs["stringData"] == {
        "MLFLOW_AUTH_ADMIN_PASSWORD": "canary-of-admin",
        **kept,
    }
    assert told["MLFLOW_AUTH_ADMIN_PASSWORD"] == {
        "name": "mlflow-migration-1a2b3c4",
        "key": "MLFLOW_AUTH_ADMIN_PASSWORD",
    }
    assert set(told) == {"MIGRATION_OWNER_URL", "MLFLOW_AUTH_ADMIN_PASSWORD"}


def test_the_job_knows_whom_to_give_rights_and_what_to_back_up(deploy, pod):
    def variables(pod):
        return {v["name"]: v["value"] for v in pod["containers"][0]["env"] if "value" in v}

    assert variables(pod) == {
        "MIGRATION_RUNTIME_ROLE": "tracking@p.iam",
        "MIGRATION_INSTANCE": "p:r:i",
    }
    elsewhere = deploy(lambda: migration(instance=None)).one(JOB).inputs["spec"]
    assert "MIGRATION_INSTANCE" not in variables(elsewhere["template"]["spec"])


def test_what_takes_the_image_from_it_waits_for_the_schema(deploy):
    def build():
        k8s.core.v1.ConfigMap("server", metadata={}, data={"image": migration().image})

    record = deploy(build)
    server = record.one("kubernetes:core/v1:ConfigMap")
    assert server.inputs["data"] == {"image": IMAGE}
    assert record.waits_for(server, record.one(JOB))


def test_a_new_image_is_a_new_job_under_a_new_name(job):
    assert "name" not in job["metadata"]


def test_a_failed_job_is_replaced_by_the_next_update(job):
    assert job["metadata"]["annotations"]["pulumi.com/replaceUnready"] == "true"
    assert "ttlSecondsAfterFinished" not in job["spec"]


def test_a_failed_upgrade_is_not_tried_again_and_a_lost_node_is_no_failure(job, pod):
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]

    assert job["spec"]["backoffLimit"] == 0
    assert rule["action"] == "Ignore"
    assert rule["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert pod["restartPolicy"] == "Never"  # else Kubernetes refuses a failure policy


def test_pulumi_waits_longer_than_the_job_may_take(record, job):
    timeout = record.one(JOB).options.customTimeouts.create

    assert int(timeout.removesuffix("m")) * 60 > job["spec"]["activeDeadlineSeconds"]


def test_the_end_of_the_log_becomes_the_pods_message(pod):
    assert pod["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_its_proxy_does_not_keep_it_from_ending(pod):
    (proxy,) = pod["initContainers"]

    assert proxy["restartPolicy"] == "Always"


def test_it_runs_as_an_account_of_its_own_without_rights_in_the_cluster(record, pod):
    account = record.one("kubernetes:core/v1:ServiceAccount").inputs

    assert pod["serviceAccountName"] == account["metadata"]["name"] == "mlflow-migration"
    assert account["automountServiceAccountToken"] is False
    assert pod["automountServiceAccountToken"] is False
