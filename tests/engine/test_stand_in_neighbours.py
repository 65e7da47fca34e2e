"""Pods of the stand-in with their stores beside them: each thing they need, taken away alone."""

import copy
from typing import Any

import pytest

from .caller import Caller, Refused
from .tokens import CLAIM, DEPLOYMENT, JOB, NAMESPACE, STATEFUL_SET

SECRET = "kubernetes:core/v1:Secret"  # noqa: S105
SERVICE = "kubernetes:core/v1:Service"

HOST = "mlflow.svc.cluster.local"


def thing(kind: str, name: str, **rest: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": "mlflow"}, **rest}


def stateful(name: str) -> dict[str, Any]:
    pod = {
        "containers": [{"name": name, "image": "docker.io/x:1"}],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": name}},
            {"name": "passwords", "secret": {"secretName": name}},
        ],
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    return thing("StatefulSet", name, spec={"serviceName": name, "template": template})


def service(name: str, port: int) -> dict[str, Any]:
    made = thing("Service", name, spec={"selector": {"app": name}, "ports": [{"port": port}]})
    made["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}
    return made


def workload(kind: str, name: str) -> dict[str, Any]:
    container = {
        "name": "mlflow",
        "image": "localhost/mlflow-tracking:1",
        "envFrom": [{"secretRef": {"name": "mlflow"}}],
    }
    return thing(kind, name, spec={"template": {"spec": {"containers": [container]}}})


ENVIRONMENT = {
    "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg2://server:pw@db.{HOST}:5432/mlflow",
    "MLFLOW_S3_ENDPOINT_URL": f"http://s3.{HOST}:8333",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}

WORLD: list[tuple[str, dict[str, Any]]] = [
    (NAMESPACE, {"kind": "Namespace", "metadata": {"name": "mlflow"}}),
    (SECRET, thing("Secret", "db", stringData={"server": "pw"})),
    (SECRET, thing("Secret", "s3", stringData={"s3.json": '["key", "secret"]'})),
    (SECRET, thing("Secret", "mlflow", stringData=ENVIRONMENT)),
    (CLAIM, thing("PersistentVolumeClaim", "db")),
    (CLAIM, thing("PersistentVolumeClaim", "s3")),
    (STATEFUL_SET, stateful("db")),
    (STATEFUL_SET, stateful("s3")),
    (SERVICE, service("db", 5432)),
    (SERVICE, service("s3", 8333)),
    (JOB, workload("Job", "migrate")),
    (DEPLOYMENT, workload("Deployment", "mlflow")),
]


def build(without: tuple[str, str] = ("", ""), **environment: str) -> Caller:
    laptop = Caller()
    laptop.cloud.world.contexts.add("kind-x")
    laptop.cloud.world.node_images.add("localhost/mlflow-tracking:1")
    laptop.use_context("kind-x")
    for token, inputs in copy.deepcopy(WORLD):
        name = inputs["metadata"]["name"]
        if (token, name) == (SECRET, "mlflow"):
            inputs["stringData"] |= environment
        if (token, name) != without:
            laptop.create(token, inputs)
    return laptop


def test_with_everything_there_the_server_becomes_ready():
    assert build().cloud.one(DEPLOYMENT).usable


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ((CLAIM, "db"), 'persistentvolumeclaim "db" not found'),
        ((STATEFUL_SET, "db"), "connection to db:5432 refused"),
        ((STATEFUL_SET, "s3"), "connection to s3:8333 refused"),
        ((SERVICE, "db"), 'could not translate host name "db"'),
        ((SERVICE, "s3"), 'could not translate host name "s3"'),
        ((JOB, "migrate"), "schema in mlflow/db is out of date"),
    ],
)
def test_it_does_not_become_ready_without(missing, reason):
    with pytest.raises(Refused, match=reason):
        build(without=missing)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        (
            "MLFLOW_BACKEND_STORE_URI",
            f"postgresql+psycopg2://server:guess@db.{HOST}:5432/mlflow",
            "password authentication failed",
        ),
        ("AWS_SECRET_ACCESS_KEY", "guess", "does not know this AWS_SECRET_ACCESS_KEY"),
        ("MLFLOW_S3_ENDPOINT_URL", f"http://s3.{HOST}:9000", "connection to s3:9000 refused"),
    ],
)
def test_it_does_not_become_ready_with_another(variable, value, reason):
    with pytest.raises(Refused, match=reason):
        build(**{variable: value})


def test_an_image_that_was_not_handed_to_the_nodes_is_not_run():
    laptop = build()
    laptop.cloud.world.node_images.clear()

    with pytest.raises(Refused, match="Back-off pulling image"):
        laptop.create(DEPLOYMENT, workload("Deployment", "other"))


def test_a_volume_in_use_cannot_be_deleted():
    laptop = build()

    with pytest.raises(Refused, match="pvc-protection"):
        laptop.delete(CLAIM, "mlflow/db")


def test_another_context_is_another_cluster():
    laptop = build()
    laptop.use_context("kind-elsewhere")

    with pytest.raises(Refused, match="unreachable"):
        laptop.create(NAMESPACE, {"kind": "Namespace", "metadata": {"name": "other"}})
