"""What the Kubernetes platform makes of its components."""

import re

import pytest

from tests.unit.conftest import ROOT, deployed
from tests.unit.manifests import invalid

BUILD = "pulumi-python:dynamic/images:Image"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
JOB = "kubernetes:batch/v1:Job"
NAMESPACE = "kubernetes:core/v1:Namespace"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
PROVIDER = "pulumi:providers:kubernetes"
SEAL = "random:index/randomId:RandomId"
SECRET = "kubernetes:core/v1:Secret"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"


@pytest.fixture(scope="module")
def least():
    return deployed("kubernetes")


@pytest.fixture(scope="module")
def outside():
    return deployed("kubernetes-everything-outside")


@pytest.fixture(scope="module")
def google():
    return deployed("kubernetes-google")


def server(record):
    return record.one(DEPLOYMENT).inputs["spec"]["template"]["spec"]["containers"][0]


def migration(record):
    return record.one(JOB).inputs["spec"]["template"]["spec"]["containers"][0]


def variables(container):
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in container.get("env", [])}


def egress(record, namespace, labels=None):
    """Ports and peers that pods may call, of a namespace or of some in it."""
    return [
        (rule["ports"][0]["port"], "anywhere" if "to" not in rule else "somewhere")
        for policy in record.all(POLICY)
        if policy.inputs["metadata"]["namespace"] == namespace
        and policy.inputs["spec"]["podSelector"].get("matchLabels") == labels
        for rule in policy.inputs["spec"].get("egress", [])
    ]


def test_kubernetes_knows_every_key_of_every_object(in_any_cluster, outside, google):
    if not in_any_cluster.preview:
        assert invalid(in_any_cluster) == invalid(outside) == invalid(google) == {}


def test_the_cluster_is_the_one_that_the_stack_names_wherever_its_kubeconfig_lies(
    in_any_cluster, least
):
    assert in_any_cluster.one(PROVIDER).inputs == {
        "context": "kind-mlflow",
        "clusterIdentifier": "kind-mlflow",
    }
    elsewhere = deployed("kubernetes", kubeconfig="clusters/team.yaml")
    assert elsewhere.one(PROVIDER).inputs["kubeconfig"] == str(ROOT / "clusters/team.yaml")
    for record in (least, elsewhere):
        assert record.one(PROVIDER).inputs["clusterIdentifier"] == "docker-desktop"


def test_nothing_of_google_is_made(in_any_cluster):
    assert [r.type for r in in_any_cluster.resources if "gcp" in r.type.split(":")[0]] == []


def test_a_destroy_of_a_protected_stack_ends_before_it_has_begun(least, in_any_cluster):
    """Everything else would be deleted after the seal, and the seal refuses."""
    for record, protect in ((least, True), (in_any_cluster, False)):
        seal = record.one(SEAL)
        after = record.before(seal) | {seal.urn}
        assert [r.urn for r in record.resources if r.urn not in after] == []
        assert seal.options.protect is protect


def test_what_holds_data_refuses_to_be_deleted_exactly_where_the_stack_says_so(
    least, in_any_cluster
):
    def protected(record):
        return {(r.type, r.name) for r in record.resources if r.options.protect} - {
            (SEAL, "mlflow")
        }

    assert protected(in_any_cluster) == set()
    assert protected(least) == {
        (NAMESPACE, "mlflow"),
        (CLAIM, "mlflow-database"),
        (CLAIM, "mlflow-objects"),
        ("random:index/randomPassword:RandomPassword", "mlflow-database-owner"),
        ("random:index/randomPassword:RandomPassword", "mlflow-database-server"),
    }


def test_images_are_built_while_the_stores_start(in_any_cluster):
    for build in in_any_cluster.all(BUILD):
        for store in in_any_cluster.all(STATEFUL_SET):
            assert not in_any_cluster.waits_for(build, store)
            assert not in_any_cluster.waits_for(store, build)


def test_the_migration_waits_for_the_database_and_not_for_the_objects(in_any_cluster):
    job = in_any_cluster.one(JOB)

    assert in_any_cluster.waits_for(job, in_any_cluster.one(STATEFUL_SET, "mlflow-database"))
    assert not in_any_cluster.waits_for(job, in_any_cluster.one(STATEFUL_SET, "mlflow-objects"))


def test_the_server_waits_for_both_stores(in_any_cluster):
    for store in in_any_cluster.all(STATEFUL_SET):
        assert in_any_cluster.waits_for(in_any_cluster.one(DEPLOYMENT), store)


def test_the_servers_pods_hold_the_password_of_the_role_that_cannot_change_the_schema(least):
    held = {r.name: r.inputs["stringData"] for r in least.all(SECRET)}

    assert "mlflow-database-owner" not in repr(held["mlflow"])
    assert "mlflow_server" in held["mlflow"]["MLFLOW_BACKEND_STORE_URI"]
    assert "mlflow_owner" in held["mlflow-migration"]["MIGRATION_OWNER_URL"]
    assert variables(migration(least))["MIGRATION_RUNTIME_ROLE"] == "mlflow_server"


def test_the_server_finds_the_store_in_the_cluster(least):
    (config_map,) = (r.inputs["data"] for r in least.all(CONFIG_MAP) if r.name == "mlflow")
    (secret,) = (r.inputs["stringData"] for r in least.all(SECRET) if r.name == "mlflow")

    assert config_map["MLFLOW_S3_ENDPOINT_URL"] == (
        "http://mlflow-objects.mlflow.svc.cluster.local:8333"
    )
    assert secret["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://mlflow/artifacts"
    assert secret["AWS_ACCESS_KEY_ID"] == "server"
    assert secret["AWS_SECRET_ACCESS_KEY"] == "canary-password-mlflow-objects-secret-key"
    assert "canary-password" not in repr(config_map)


def test_the_database_accepts_as_many_connections_as_the_servers_open():
    record = deployed("kubernetes", server={"size": "large", "replicas": 2, "maxReplicas": 8})
    (files,) = (r.inputs["data"] for r in record.all(CONFIG_MAP) if r.name == "mlflow-database")

    budget = (8 + 1) * (4 * 2 * (4 + 1) + 2) + 4
    assert f"max_connections = '{budget + 6}'" in files["postgresql.conf"]


def test_stores_call_nobody_and_only_mlflow_calls_them(least):
    policies = [p.inputs["spec"] for p in least.all(POLICY)]
    ingress = {
        spec["podSelector"]["matchLabels"]["app.kubernetes.io/name"]: [
            peer.get("podSelector", {}).get("matchLabels", "a namespace")
            for rule in spec["ingress"]
            for peer in rule["from"]
        ]
        for spec in policies
        if "ingress" in spec
    }
    mlflow = {"app.kubernetes.io/name": "mlflow"}

    assert ingress == {"mlflow": ["a namespace"], "postgres": [mlflow], "versitygw": [mlflow]}
    assert egress(least, "mlflow", None) == []
    assert egress(least, "mlflow", mlflow) == [
        (53, "somewhere"),
        (5432, "somewhere"),
        (8333, "somewhere"),
    ]


def test_training_reaches_the_server_and_neither_of_its_stores(least):
    assert egress(least, "mlflow-training", None) == [
        (53, "somewhere"),
        (443, "somewhere"),
        (5000, "somewhere"),
    ]


def test_metrics_are_read_from_where_the_stack_says_and_by_default_nowhere(least, outside):
    opened = {
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]: port["port"]
        for policy in outside.all(POLICY)
        for rule in policy.inputs["spec"].get("ingress", [])
        for port in rule["ports"]
        for peer in rule["from"]
    }
    assert opened == {"mlflow-training": 5000, "monitoring": 9464}
    ports = {each["name"]: each["containerPort"] for each in server(outside)["ports"]}
    assert ports == {"http": 5000, "metrics": 9464}
    assert [each["name"] for each in server(least)["ports"]] == ["http"]


def test_with_somebody_elses_stores_none_is_made(outside):
    assert outside.all(STATEFUL_SET) == outside.all(CLAIM) == []


def test_no_password_of_an_external_store_passes_through_the_program(outside):
    assert variables(server(outside)) == {
        "MLFLOW_BACKEND_STORE_URI": {
            "secretKeyRef": {"name": "mlflow-database", "key": "runtime-url"}
        },
        "AWS_ACCESS_KEY_ID": {
            "secretKeyRef": {"name": "mlflow-artifacts", "key": "AWS_ACCESS_KEY_ID"}
        },
        "AWS_SECRET_ACCESS_KEY": {
            "secretKeyRef": {"name": "mlflow-artifacts", "key": "AWS_SECRET_ACCESS_KEY"}
        },
    }
    assert variables(migration(outside))["MIGRATION_OWNER_URL"] == {
        "secretKeyRef": {"name": "mlflow-database", "key": "owner-url"}
    }


def test_a_database_with_one_role_needs_no_rights_given():
    external = {"secret": "mlflow-database"}
    record = deployed("kubernetes-everything-outside", externalDatabase=external)

    assert set(variables(migration(record))) == {"MIGRATION_OWNER_URL"}


def test_pods_may_call_the_external_stores_on_their_ports(outside):
    mlflow = {"app.kubernetes.io/name": "mlflow"}

    assert egress(outside, "mlflow", mlflow) == [
        (53, "somewhere"),
        (6432, "anywhere"),
        (7480, "anywhere"),
    ]
    assert (7480, "anywhere") in egress(outside, "mlflow-training", None)
    assert (6432, "anywhere") not in egress(outside, "mlflow-training", None)


def test_namespaces_that_exist_are_used_and_left_alone(outside):
    assert outside.all(NAMESPACE) == []
    assert outside.one(DEPLOYMENT).inputs["metadata"]["namespace"] == "mlflow"


def test_every_pod_pulls_with_the_secret_of_the_registry(outside):
    accounts = outside.all("kubernetes:core/v1:ServiceAccount")

    assert {a.inputs["metadata"]["name"] for a in accounts} == {
        "migration", "tracking", "training",
    }  # fmt: skip
    for account in accounts:
        assert account.inputs["imagePullSecrets"] == [{"name": "registry"}]


def test_the_server_is_somebody_at_cloud_storage_by_a_key_that_it_finds_in_a_folder(google):
    pod = google.one(DEPLOYMENT).inputs["spec"]["template"]["spec"]
    (data,) = (r.inputs["data"] for r in google.all(CONFIG_MAP) if r.name == "mlflow")
    (mount,) = (m for m in server(google)["volumeMounts"] if m["name"] != "scratch")

    assert data["GOOGLE_APPLICATION_CREDENTIALS"] == f"{mount['mountPath']}/credentials.json"
    assert {"name": mount["name"], "secret": {"secretName": "google"}} in pod["volumes"]
    assert mount["readOnly"] is True


def test_what_to_type_opens_the_tunnel_to_this_cluster_and_no_other(in_any_cluster):
    if in_any_cluster.preview:
        return
    assert in_any_cluster.outputs["connectCommand"] == (
        "kubectl --context=kind-mlflow --namespace=mlflow"
        " port-forward service/mlflow-tracking 5055:80"
    )
    assert in_any_cluster.outputs["trackingUri"] == "http://127.0.0.1:5055"


def test_jobs_call_the_server_by_its_name_in_the_cluster(in_any_cluster):
    if in_any_cluster.preview:
        return
    assert in_any_cluster.outputs["trackingUriInCluster"] == (
        "http://mlflow-tracking.mlflow.svc.cluster.local"
    )
    assert in_any_cluster.outputs["namespace"] == "mlflow-training"
    assert in_any_cluster.outputs["trainingServiceAccount"] == "training"


def test_two_stacks_share_a_cluster(least):
    other = deployed("kubernetes", namespaces={"serving": "team-b", "training": "team-b-training"})

    def real(record):
        return {
            (r.type, r.inputs["metadata"].get("namespace"), r.inputs["metadata"]["name"])
            for r in record.resources
            if "name" in r.inputs.get("metadata", {})
        }

    assert real(least) & real(other) == set()


RELEASE = "kubernetes:helm.sh/v3:Release"


def test_rays_operator_is_installed_for_the_namespace_of_training_and_only_if_asked_for(least):
    assert least.all(RELEASE) == []
    record = deployed("kubernetes", rayOperator=True)
    release = record.one(RELEASE)
    assert release.inputs["namespace"] == "mlflow-training"
    assert re.fullmatch(r"\d+\.\d+\.\d+", release.inputs["version"])
    assert release.inputs["values"]["singleNamespaceInstall"] is True
    # Without a way to the control plane it would wait for ever.
    policies = [p for p in record.all(POLICY) if p.name.startswith("ray-")]
    assert all(record.waits_for(release, policy) for policy in policies)
    assert {p.name for p in policies} == {"ray-pods", "ray-head", "ray-operator"}


def test_only_rays_operator_and_rays_pods_may_call_rays_head():
    record = deployed("kubernetes", rayOperator=True)
    head = record.one(POLICY, "ray-head").inputs["spec"]
    assert head["ingress"] == [
        {
            "from": [
                {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}}
            ],
            "ports": [{"protocol": "TCP", "port": 8265}],
        }
    ]


def test_a_word_in_the_place_of_yes_or_no_is_refused():
    with pytest.raises(Exception, match="rayOperator"):
        deployed("kubernetes", rayOperator="perhaps")
