"""Pods of the stand-in: each thing that a real pod waits for, taken away alone."""

from typing import Any

import pytest

from .caller import Caller, Refused

ACCOUNT = "gcp:serviceaccount/account:Account"
ACCOUNT_MEMBER = "gcp:serviceaccount/iAMMember:IAMMember"
BUCKET = "gcp:storage/bucket:Bucket"
BUCKET_MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
CLUSTER = "gcp:container/cluster:Cluster"
DATABASE = "gcp:sql/database:Database"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
INSTANCE = "gcp:sql/databaseInstance:DatabaseInstance"
JOB = "kubernetes:batch/v1:Job"
NAMESPACE = "kubernetes:core/v1:Namespace"
POOL = "gcp:container/nodePool:NodePool"
PROJECT_MEMBER = "gcp:projects/iAMMember:IAMMember"
SECRET = "kubernetes:core/v1:Secret"  # noqa: S105
SERVICE_ACCOUNT = "kubernetes:core/v1:ServiceAccount"
USER = "gcp:sql/user:User"

EMAIL = "tracking@p.iam.gserviceaccount.com"
MEMBER = f"serviceAccount:{EMAIL}"

POD = {
    "serviceAccountName": "tracking",
    "containers": [
        {
            "name": "mlflow",
            "image": "python:3.11",
            "args": ["gs://artifacts/mlflow"],
            "env": [{"name": "URL", "valueFrom": {"secretKeyRef": {"name": "owner", "key": "u"}}}],
        }
    ],
    "initContainers": [{"name": "proxy", "image": "proxy:2", "args": ["p:europe-west4:db"]}],
}


def thing(kind: str, name: str, **rest: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": "mlflow"}, **rest}


WORLD: list[tuple[str, dict[str, Any]]] = [
    (CLUSTER, {
        "name": "c",
        "location": "europe-west4-a",
        "workloadIdentityConfig": {"workloadPool": "p.svc.id.goog"},
    }),
    (POOL, {"name": "cpu", "cluster": "c"}),
    (INSTANCE, {
        "name": "db",
        "region": "europe-west4",
        "databaseVersion": "POSTGRES_17",
        "settings": {"tier": "db-f1-micro", "edition": "ENTERPRISE"},
    }),
    (DATABASE, {"name": "mlflow", "instance": "db"}),
    (USER, {"name": "owner", "instance": "db", "password": "a/b"}),
    (ACCOUNT, {"accountId": "tracking"}),
    (PROJECT_MEMBER, {"project": "p", "role": "roles/cloudsql.client", "member": MEMBER}),
    (ACCOUNT_MEMBER, {
        "serviceAccountId": f"projects/p/serviceAccounts/{EMAIL}",
        "role": "roles/iam.workloadIdentityUser",
        "member": "serviceAccount:p.svc.id.goog[mlflow/tracking]",
    }),
    (BUCKET, {"name": "artifacts", "location": "EU"}),
    (BUCKET_MEMBER, {
        "bucket": "artifacts", "role": "roles/storage.objectUser", "member": MEMBER,
    }),
    (NAMESPACE, {"kind": "Namespace", "metadata": {"name": "mlflow"}}),
    (SERVICE_ACCOUNT, {
        "kind": "ServiceAccount",
        "metadata": {
            "name": "tracking",
            "namespace": "mlflow",
            "annotations": {"iam.gke.io/gcp-service-account": EMAIL},
        },
    }),
    (SECRET, thing("Secret", "owner", stringData={
        "u": "postgresql+psycopg2://owner:a%2Fb@127.0.0.1:5432/mlflow",
    })),
    (JOB, thing("Job", "migrate", spec={"template": {"spec": POD}})),
]  # fmt: skip


def build(without: str | None = None) -> Caller:
    google = Caller()
    google.enable("container", "sqladmin", "iam", "cloudresourcemanager", "compute")
    for token, inputs in WORLD:
        if token != without:
            made = google.create(token, inputs)
        if token == CLUSTER:
            google.use_cluster(made["endpoint"])
    return google


def deploy(google: Caller) -> None:
    google.create(DEPLOYMENT, thing("Deployment", "mlflow", spec={"template": {"spec": POD}}))


def test_with_everything_there_a_deployment_becomes_ready():
    deploy(build())


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        (POOL, "0/0 nodes are available"),
        (SECRET, 'secret "owner" not found'),
        (SERVICE_ACCOUNT, 'serviceaccount "tracking" not found'),
        (ACCOUNT_MEMBER, "getAccessToken denied"),
        (PROJECT_MEMBER, "has not been granted roles/cloudsql.client"),
        (USER, 'role "owner" does not exist'),
        (DATABASE, 'database "mlflow" does not exist'),
        (BUCKET_MEMBER, "has not been granted roles/storage.object"),
    ],
)
def test_a_job_does_not_become_ready_without(missing, reason):
    with pytest.raises(Refused, match=reason):
        build(without=missing)


def test_a_server_does_not_start_on_a_schema_that_nobody_migrated():
    with pytest.raises(Refused, match="schema in db is out of date"):
        deploy(build(without=JOB))


def test_an_object_needs_its_namespace():
    with pytest.raises(Refused, match="'mlflow' .Namespace. was not found"):
        build(without=NAMESPACE)


def test_a_restricted_namespace_refuses_pods_that_are_not():
    google = build()
    namespace = google.cloud.one(NAMESPACE)
    namespace.inputs["metadata"]["labels"] = {"pod-security.kubernetes.io/enforce": "restricted"}

    with pytest.raises(Refused, match="violates PodSecurity.*runAsNonRoot != true .mlflow."):
        deploy(google)


def test_a_database_in_use_cannot_be_dropped():
    google = build()
    deploy(google)

    with pytest.raises(Refused, match="is being accessed by other users"):
        google.delete(DATABASE, google.cloud.one(DATABASE).id)


def test_an_abandoned_database_goes_with_its_instance():
    google = build()
    google.cloud.one(DATABASE).inputs["deletionPolicy"] = "ABANDON"
    google.cloud.one(INSTANCE).inputs["deletionProtection"] = False

    google.delete(DATABASE, google.cloud.one(DATABASE).id)
    assert google.cloud.one(DATABASE).usable
    google.delete(INSTANCE, "db")

    assert google.cloud.world.of(DATABASE) == []


def test_a_user_that_owns_tables_cannot_be_dropped():
    with pytest.raises(Refused, match='role "owner" cannot be dropped'):
        build().delete(USER, "owner//db")
