"""The database's StatefulSet, its address and its passwords, as they reach Kubernetes."""

import pulumi_kubernetes as k8s
import pytest

from components.postgres import (
    DATA,
    IMAGES,
    OWNER,
    RUNTIME,
    Postgres,
    PostgresArgs,
    PostgresSettings,
    pod_labels,
)
from tests.unit.manifests import invalid

CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
PASSWORD = "random:index/randomPassword:RandomPassword"
SECRET = "kubernetes:core/v1:Secret"
SERVICE = "kubernetes:core/v1:Service"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"


def database(name="mlflow", service="mlflow-database", protect=False, connections=24, **chosen):
    args = PostgresArgs(
        namespace="mlflow",
        settings=PostgresSettings(**chosen),
        service=service,
        account=service,
        connections=connections,
        protect=protect,
        pull_secrets=["registry"],
    )
    return Postgres(name, args)


@pytest.fixture(scope="module")
def record(deploy):
    return deploy(database)


@pytest.fixture(scope="module")
def pod(record):
    return record.one(STATEFUL_SET).inputs["spec"]["template"]["spec"]


def containers(pod):
    return [*pod["initContainers"], *pod["containers"]]


def test_kubernetes_knows_every_key_of_every_object(record):
    assert invalid(record) == {}


def test_the_pod_may_run_in_a_namespace_with_restricted_pod_security(pod):
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for each in containers(pod):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_no_token_and_no_service_variables_reach_the_pod(record, pod):
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    account = record.one("kubernetes:core/v1:ServiceAccount").inputs
    assert account["automountServiceAccountToken"] is False
    assert account["imagePullSecrets"] == [{"name": "registry"}]


def test_the_volume_has_the_size_and_class_that_were_chosen(deploy, record):
    assert "storageClassName" not in record.one(CLAIM).inputs["spec"]

    chosen = deploy(lambda: database(storage_gib=20, storage_class="fast")).one(CLAIM).inputs
    assert chosen["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert chosen["spec"]["storageClassName"] == "fast"


@pytest.mark.parametrize("protect", [True, False])
def test_volume_and_passwords_refuse_to_be_deleted_where_the_stack_says_so(deploy, protect):
    record = deploy(lambda: database(protect=protect))

    for kept in (record.one(CLAIM), *record.all(PASSWORD)):
        assert kept.options.protect is protect


def test_the_data_lie_below_the_volumes_root_which_may_not_be_empty(pod):
    for each in containers(pod):
        (data,) = (m for m in each["volumeMounts"] if m["name"] == "data")
        variables = {v["name"]: v["value"] for v in each["env"]}
        assert data["mountPath"] == DATA
        assert variables["PGDATA"].startswith(f"{DATA}/")


def test_a_claim_is_not_waited_for_because_its_volume_comes_with_the_first_pod(record):
    assert record.one(CLAIM).inputs["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}


def test_only_the_step_that_sets_the_passwords_sees_them(pod):
    (prepare,), (serve,) = pod["initContainers"], pod["containers"]

    assert "passwords" in [m["name"] for m in prepare["volumeMounts"]]
    assert "passwords" not in [m["name"] for m in serve["volumeMounts"]]


def test_passwords_are_in_one_secret_and_in_nothing_else_of_the_database(record):
    holders = [r.type for r in record.resources if "canary-password" in repr(r.inputs)]

    assert holders == [SECRET]
    assert set(record.one(SECRET).inputs["stringData"]) == {OWNER, RUNTIME}


def test_each_role_has_its_own_password_in_its_own_url(deploy):
    found = {}

    def build():
        made = database()
        made.owner_url.apply(lambda url: found.update(owner=url))
        made.runtime_url.apply(lambda url: found.update(runtime=url))

    deploy(build)
    host = "mlflow-database.mlflow.svc.cluster.local:5432/mlflow"
    assert found == {
        "owner": f"postgresql+psycopg2://mlflow_owner:canary-password-mlflow-database-owner@{host}",
        "runtime": "postgresql+psycopg2://mlflow_server:canary-password-mlflow-database-server"
        f"@{host}",
    }


def test_an_address_is_given_out_once_the_database_answers(deploy):
    def build():
        k8s.core.v1.ConfigMap("client", metadata={}, data={"url": database().owner_url})

    record = deploy(build)
    assert record.waits_for(record.one(CONFIG_MAP, "client"), record.one(STATEFUL_SET))


def test_a_changed_configuration_or_password_is_a_new_object_so_that_the_pod_restarts(record):
    for kind in (SECRET, CONFIG_MAP):
        assert record.one(kind).inputs["immutable"] is True
        assert "name" not in record.one(kind).inputs["metadata"]


def test_more_connections_come_with_the_memory_for_them(deploy, record):
    def memory(record):
        pod = record.one(STATEFUL_SET).inputs["spec"]["template"]["spec"]
        return int(pod["containers"][0]["resources"]["limits"]["memory"].removesuffix("Mi"))

    many = deploy(lambda: database(connections=200))
    assert "max_connections = '206'" in many.one(CONFIG_MAP).inputs["data"]["postgresql.conf"]
    assert memory(many) - memory(record) == 8 * (200 - 24)


def test_a_recovery_after_a_crash_is_not_ended_by_a_probe(pod):
    (serve,) = pod["containers"]

    for probe in ("startupProbe", "livenessProbe"):  # 1 is "starting up", 2 is no answer
        assert serve[probe]["exec"]["command"][-1] == "pg_isready -q; test $? -le 1"
    assert serve["readinessProbe"]["exec"]["command"][-1] == "pg_isready -q"


def test_stopping_ends_connections_instead_of_waiting_for_them(pod):
    (serve,) = pod["containers"]

    assert serve["lifecycle"]["preStop"]["exec"]["command"] == ["sh", "-c", "kill -INT 1"]


def test_service_and_pods_meet(record, pod):
    service, stateful = record.one(SERVICE).inputs, record.one(STATEFUL_SET).inputs["spec"]
    (port,) = pod["containers"][0]["ports"]

    assert service["spec"]["selector"] == pod_labels("mlflow-database")
    assert stateful["selector"]["matchLabels"] == pod_labels("mlflow-database")
    assert (
        pod_labels("mlflow-database").items() < stateful["template"]["metadata"]["labels"].items()
    )
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert stateful["serviceName"] == service["metadata"]["name"] == "mlflow-database"


@pytest.mark.parametrize("version", IMAGES)
def test_the_official_image_of_the_version_or_the_one_that_was_chosen(deploy, version):
    def image(record):
        pod = record.one(STATEFUL_SET).inputs["spec"]["template"]["spec"]
        (name,) = {each["image"] for each in containers(pod)}
        return name

    official = image(deploy(lambda: database(version=version)))
    assert official.startswith(f"docker.io/library/postgres:{version}.")
    assert image(deploy(lambda: database(image="mirror/postgres"))) == "mirror/postgres"


def test_two_databases_live_in_one_namespace(deploy):
    record = deploy(lambda: [database(), database("other", "other-database")])

    urns = [r.urn for r in record.resources]
    assert len(urns) == len(set(urns))
    first, second = (r.inputs["spec"]["selector"] for r in record.all(SERVICE))
    assert first != second
