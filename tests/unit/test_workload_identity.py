import pulumi_random as random
import pytest

from components.after import after
from components.workload_identity import WorkloadIdentity, WorkloadIdentityArgs

MEMBER = "gcp:serviceaccount/iAMMember:IAMMember"
CLUSTER = "random:index/randomString:RandomString"
EMAIL = "mlflow-dev-training@proj.iam.gserviceaccount.com"


@pytest.fixture
def build(identity, taker):
    def pods():
        cluster = random.RandomString("cluster", length=1)
        bound = WorkloadIdentity(
            "training",
            WorkloadIdentityArgs(
                identity=identity("training"),
                workload_pool=after("proj.svc.id.goog", cluster),
                namespace="jobs",
                service_account="training",
            ),
        )
        taker("account", bound.annotations["iam.gke.io/gcp-service-account"])

    return pods


def test_one_kubernetes_account_may_act_as_one_google_account(deploy, build):
    right = deploy(build).one(MEMBER).inputs

    assert right["role"] == "roles/iam.workloadIdentityUser"
    assert right["member"] == "serviceAccount:proj.svc.id.goog[jobs/training]"
    assert right["serviceAccountId"] == f"projects/proj/serviceAccounts/{EMAIL}"


def test_the_right_waits_for_the_pool_that_it_names(deploy, build):
    record = deploy(build)

    assert record.waits_for(record.one(MEMBER), record.one(CLUSTER))


def test_pods_start_only_when_they_may_act_as_the_account(deploy, build, taker):
    record = deploy(build)
    account = record.one(taker.type)

    assert account.inputs["keepers"] == {"value": EMAIL}
    assert record.waits_for(account, record.one(MEMBER))
