"""The object store's StatefulSet, its address and its keys, as they reach Kubernetes."""

import json

import pulumi_kubernetes as k8s
import pytest

from components.object_store import (
    BUCKET,
    USER,
    ObjectStore,
    ObjectStoreArgs,
    ObjectStoreSettings,
    pod_labels,
)
from tests.unit.manifests import invalid

CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"
SERVICE = "kubernetes:core/v1:Service"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"


def store(name="mlflow", service="mlflow-objects", protect=False, **chosen):
    args = ObjectStoreArgs(
        namespace="mlflow",
        settings=ObjectStoreSettings(**chosen),
        service=service,
        account=service,
        protect=protect,
        pull_secrets=["registry"],
    )
    return ObjectStore(name, args)


@pytest.fixture(scope="module")
def record(deploy):
    return deploy(store)


@pytest.fixture(scope="module")
def pod(record):
    return record.one(STATEFUL_SET).inputs["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod):
    return pod["containers"][0]


def test_kubernetes_knows_every_key_of_every_object(record):
    assert invalid(record) == {}


def test_the_pod_may_run_in_a_namespace_with_restricted_pod_security(pod, container):
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
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


@pytest.mark.parametrize("protect", [True, False])
def test_the_volume_refuses_to_be_deleted_where_the_stack_says_so(deploy, protect):
    record = deploy(lambda: store(protect=protect, storage_gib=50, storage_class="slow"))

    claim = record.one(CLAIM)
    assert claim.options.protect is protect
    assert claim.inputs["spec"]["resources"]["requests"]["storage"] == "50Gi"
    assert claim.inputs["spec"]["storageClassName"] == "slow"


def test_the_server_is_the_only_user_and_no_administrator(record):
    users = json.loads(record.one(SECRET).inputs["stringData"]["users.json"])

    assert users == {
        "accessAccounts": {
            USER: {
                "access": USER,
                "secret": "canary-password-mlflow-objects-secret-key",
                "role": "user",
            }
        }
    }


def test_only_the_server_has_rights_and_only_in_one_bucket(record):
    policy = json.loads(record.one(CONFIG_MAP).inputs["data"]["policy.json"])

    assert {each["Effect"] for each in policy["Statement"]} == {"Allow"}
    assert {who for each in policy["Statement"] for who in each["Principal"]["AWS"]} == {USER}
    resources = {what for each in policy["Statement"] for what in each["Resource"]}
    assert resources == {f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"}
    actions = {action for each in policy["Statement"] for action in each["Action"]}
    assert not [action for action in actions if "*" in action or "Policy" in action]


def test_keys_are_in_one_secret_and_in_nothing_else_of_the_store(record):
    holders = [r.type for r in record.resources if "canary-password" in repr(r.inputs)]

    assert holders == [SECRET]


def test_go_collects_its_garbage_before_the_kernel_ends_it(container):
    variables = {v["name"]: v["value"] for v in container["env"]}
    limit = container["resources"]["limits"]["memory"]

    assert int(variables["GOMEMLIMIT"].removesuffix("MiB")) < int(limit.removesuffix("Mi"))


def test_its_address_is_given_out_once_it_answers(deploy):
    def build():
        k8s.core.v1.ConfigMap("client", metadata={}, data={"endpoint": store().endpoint})

    record = deploy(build)
    client = record.one(CONFIG_MAP, "client")
    assert client.inputs["data"] == {
        "endpoint": "http://mlflow-objects.mlflow.svc.cluster.local:8333"
    }
    assert record.waits_for(client, record.one(STATEFUL_SET))


def test_service_and_pods_meet(record, container):
    service, stateful = record.one(SERVICE).inputs, record.one(STATEFUL_SET).inputs["spec"]
    (port,) = container["ports"]

    assert service["spec"]["selector"] == pod_labels("mlflow-objects")
    assert stateful["selector"]["matchLabels"] == pod_labels("mlflow-objects")
    assert pod_labels("mlflow-objects").items() < stateful["template"]["metadata"]["labels"].items()
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]


def test_another_image_can_be_chosen(deploy):
    record = deploy(lambda: store(image="mirror/versitygw"))
    pod = record.one(STATEFUL_SET).inputs["spec"]["template"]["spec"]

    assert pod["containers"][0]["image"] == "mirror/versitygw"


def test_two_stores_live_in_one_namespace(deploy):
    record = deploy(lambda: [store(), store("other", "other-objects")])

    urns = [r.urn for r in record.resources]
    assert len(urns) == len(set(urns))
