"""What training Jobs and the people who submit them may do in the cluster."""

import pytest

from components.training_access import TrainingAccess, TrainingAccessArgs
from tests.unit.manifests import invalid

ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
BINDING = "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"


def access(people=("ana@example.com",), ray=False, login=False):
    args = TrainingAccessArgs(
        namespace="training",
        server_namespace="mlflow",
        account="training",
        annotations={"iam.gke.io/gcp-service-account": "t@p.iam.gserviceaccount.com"},
        people=people,
        ray=ray,
        login=login,
    )
    return TrainingAccess("training", args)


@pytest.fixture(scope="module")
def record(deploy):
    return deploy(access)


def test_kubernetes_knows_every_key_of_every_object(record):
    assert invalid(record) == {}


def test_jobs_run_as_an_account_that_has_no_token_and_no_role(record):
    account = record.one("kubernetes:core/v1:ServiceAccount").inputs

    assert account["metadata"]["name"] == "training"
    assert account["automountServiceAccountToken"] is False
    subjects = [s for r in record.all(BINDING) for s in r.inputs["subjects"]]
    assert {s["kind"] for s in subjects} == {"User"}


def verbs_of(record, namespace, resource):
    return {
        verb
        for role in record.all(ROLE)
        if role.inputs["metadata"]["namespace"] == namespace
        for rule in role.inputs["rules"]
        if resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize(
    ("namespace", "resource", "verbs"),
    [
        ("training", "jobs", {"get", "list", "watch", "create", "delete"}),
        ("training", "jobs/status", {"get"}),
        ("training", "pods", {"get", "list", "watch"}),
        ("training", "events", {"get", "list", "watch"}),
        ("training", "pods/log", {"get"}),
        ("mlflow", "services", {"get", "list", "watch"}),
        ("mlflow", "pods", {"get", "list", "watch"}),
        ("mlflow", "pods/portforward", {"get", "create"}),
        ("mlflow", "secrets", set()),
        ("training", "secrets", set()),
        ("training", "rayjobs", set()),
        ("mlflow", "pods/exec", set()),
    ],
)
def test_people_submit_jobs_and_open_the_tunnel_and_that_is_all(record, namespace, resource, verbs):
    assert verbs_of(record, namespace, resource) == verbs


def test_where_ray_runs_people_submit_its_jobs_too(deploy):
    record = deploy(lambda: access(ray=True))

    expected = {"get", "list", "watch", "create", "delete"}
    assert verbs_of(record, "training", "rayjobs") == expected
    assert verbs_of(record, "training", "rayclusters") == set()


def test_where_jobs_need_a_login_people_may_create_secrets_and_read_or_change_none(deploy):
    record = deploy(lambda: access(login=True))

    assert invalid(record) == {}
    assert verbs_of(record, "training", "secrets") == {"create"}
    assert verbs_of(record, "mlflow", "secrets") == set()


def test_both_roles_go_to_the_people_named(record):
    for binding in record.all(BINDING):
        assert [s["name"] for s in binding.inputs["subjects"]] == ["ana@example.com"]
        assert binding.inputs["roleRef"]["kind"] == "Role"


def test_without_people_there_are_no_roles(deploy):
    record = deploy(lambda: access(people=()))

    assert record.all(ROLE) == record.all(BINDING) == []
