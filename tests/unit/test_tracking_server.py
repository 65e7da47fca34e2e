"""The Deployment, its address and its environment, as they reach Kubernetes."""

import pulumi_kubernetes as k8s
import pytest
from mlflow.server.handlers import get_endpoints
from mlflow.server.security_utils import is_allowed_host_header, is_health_endpoint
from pulumi import Output

from components.sql_proxy import sql_proxy
from components.tracking_server import (
    TrackingServer,
    TrackingServerArgs,
    host_names,
    pod_labels,
)
from server.spec import DRAIN_SECONDS, SIZES, ServerSpec
from tests.unit.manifests import invalid

SERVICE = "kubernetes:core/v1:Service"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SECRET = "kubernetes:core/v1:Secret"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
AUTOSCALER = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
URL = "postgresql+psycopg2://tracking%40project.iam@127.0.0.1:5432/mlflow"


def server(size="medium", service="mlflow-tracking", namespace="mlflow", name="mlflow"):
    spec = ServerSpec(
        size=SIZES[size], host="0.0.0.0", port=5000, names=host_names(service, namespace)
    )
    args = TrackingServerArgs(
        namespace=namespace,
        service=service,
        spec=spec,
        image="gcr.io/p/mlflow-tracking@sha256:abc",
        backend_url=Output.secret(URL),
        artifacts_url="gs://bucket/artifacts",
        account=service,
        annotations={"iam.gke.io/gcp-service-account": "t@p.iam.gserviceaccount.com"},
        sidecars=[sql_proxy("p:r:i", iam_login=True)],
    )
    return TrackingServer(name, args)


@pytest.fixture(scope="module")
def record(deploy):
    return deploy(server)


@pytest.fixture(scope="module")
def pod(record):
    return record.one(DEPLOYMENT).inputs["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod):
    return pod["containers"][0]


@pytest.mark.parametrize("size", SIZES)
def test_kubernetes_knows_every_key_of_every_object(deploy, size):
    assert invalid(deploy(lambda: server(size))) == {}


def test_an_update_adds_a_pod_before_it_takes_one_away(record):
    strategy = record.one(DEPLOYMENT).inputs["spec"]["strategy"]

    assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_a_size_that_grows_leaves_the_number_of_replicas_to_the_autoscaler(deploy, record):
    assert "replicas" not in record.one(DEPLOYMENT).inputs["spec"]
    scaling = record.one(AUTOSCALER).inputs["spec"]
    assert (scaling["minReplicas"], scaling["maxReplicas"]) == (2, 4)
    assert scaling["scaleTargetRef"]["name"] == "mlflow-tracking"

    fixed = deploy(lambda: server("small"))
    assert fixed.all(AUTOSCALER) == []
    assert fixed.one(DEPLOYMENT).inputs["spec"]["replicas"] == 2


def test_the_autoscaler_measures_the_server_and_not_its_proxy(record, container):
    (metric,) = record.one(AUTOSCALER).inputs["spec"]["metrics"]

    assert metric["containerResource"]["container"] == container["name"]
    assert "cpu" in container["resources"]["requests"]


def test_replicas_are_spread_over_zones_and_nodes_each_version_for_itself(pod):
    spread = {c["topologyKey"]: c for c in pod["topologySpreadConstraints"]}

    assert set(spread) == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    assert {c["whenUnsatisfiable"] for c in spread.values()} == {"ScheduleAnyway"}
    assert all(c["matchLabelKeys"] == ["pod-template-hash"] for c in spread.values())


def test_a_drain_of_nodes_takes_one_replica_at_a_time_and_always_ends(record):
    budget = record.one("kubernetes:policy/v1:PodDisruptionBudget").inputs["spec"]

    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_everything_selects_the_same_pods(record):
    labels = record.one(DEPLOYMENT).inputs["spec"]["template"]["metadata"]["labels"]
    budget = record.one("kubernetes:policy/v1:PodDisruptionBudget").inputs["spec"]
    selectors = [
        record.one(SERVICE).inputs["spec"]["selector"],
        record.one(DEPLOYMENT).inputs["spec"]["selector"]["matchLabels"],
        budget["selector"]["matchLabels"],
        pod_labels("mlflow-tracking"),
    ]

    assert all(selector == selectors[0] for selector in selectors)
    assert selectors[0].items() < labels.items()


def test_the_pod_may_run_in_a_namespace_with_restricted_pod_security(pod):
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for each in [*pod["containers"], *pod["initContainers"]]:
        assert each["securityContext"]["allowPrivilegeEscalation"] is False
        assert each["securityContext"]["readOnlyRootFilesystem"] is True
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_only_place_to_write_is_bounded(pod, container):
    assert container["volumeMounts"] == [{"name": "scratch", "mountPath": "/tmp"}]
    assert pod["volumes"] == [{"name": "scratch", "emptyDir": {"sizeLimit": "20Gi"}}]
    assert container["resources"]["limits"]["ephemeral-storage"] == "21Gi"


def test_no_token_and_no_service_variables_reach_the_pod(record, pod):
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    account = record.one("kubernetes:core/v1:ServiceAccount").inputs
    assert account["automountServiceAccountToken"] is False


def test_a_stopping_pod_is_out_of_the_service_before_it_drains_and_not_killed_while_it_does(
    pod, container
):
    quiet = container["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert quiet >= 5
    assert pod["terminationGracePeriodSeconds"] > quiet + DRAIN_SECONDS


def test_the_server_has_time_to_reach_a_slow_database_before_it_is_restarted(container):
    probe = container["startupProbe"]

    assert probe["periodSeconds"] * probe["failureThreshold"] > 2 * 101 + 40


def test_probes_ask_for_pages_that_mlflow_has_by_a_name_that_it_answers_to(record, container):
    allowed = record.one(CONFIG_MAP).inputs["data"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    pages = {path for path, _, methods in get_endpoints() if "GET" in methods}

    for kind in ("startupProbe", "readinessProbe"):
        request = container[kind]["httpGet"]
        (host,) = request["httpHeaders"]
        assert request["path"].split("?")[0] in pages
        assert host["name"] == "Host"
        assert is_allowed_host_header(allowed, host["value"])
    assert is_health_endpoint(container["livenessProbe"]["httpGet"]["path"])


def test_only_a_pod_that_has_the_database_gets_requests_and_none_is_restarted_for_it(container):
    assert "experiments/search" in container["readinessProbe"]["httpGet"]["path"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"


def test_an_address_is_not_waited_for_by_pulumi(record):
    """Its pods come after the migration, perhaps later than the ten minutes that Pulumi waits."""
    annotations = record.one(SERVICE).inputs["metadata"]["annotations"]

    assert annotations == {"pulumi.com/skipAwait": "true"}


def test_probes_and_service_meet_the_port_that_the_server_listens_on(record, container):
    (port,) = container["ports"]

    assert f"--port={port['containerPort']:.0f}" in container["command"]
    assert record.one(SERVICE).inputs["spec"]["ports"] == [
        {"name": "http", "port": 80, "targetPort": port["name"]}
    ]


def test_the_stores_come_from_a_secret_and_the_rest_from_a_config_map(record, container):
    secret, config = record.one(SECRET).inputs, record.one(CONFIG_MAP).inputs

    assert secret["stringData"] == {
        "MLFLOW_BACKEND_STORE_URI": URL,
        "MLFLOW_ARTIFACTS_DESTINATION": "gs://bucket/artifacts",
    }
    assert URL not in repr([config, container])
    assert container["envFrom"] == [
        {"configMapRef": {"name": "mlflow-1a2b3c4"}},
        {"secretRef": {"name": "mlflow-1a2b3c4"}},
    ]


def test_a_changed_environment_is_a_new_object_so_that_the_pods_are_replaced(record):
    for kind in (SECRET, CONFIG_MAP):
        assert record.one(kind).inputs["immutable"] is True
        assert "name" not in record.one(kind).inputs["metadata"]


def test_the_address_is_given_out_once_the_pods_answer(deploy):
    def build():
        k8s.core.v1.ConfigMap("client", metadata={}, data={"uri": server().uri})

    record = deploy(build)
    client = record.one(CONFIG_MAP, "client")
    assert client.inputs["data"] == {"uri": "http://mlflow-tracking.mlflow.svc.cluster.local"}
    assert record.waits_for(client, record.one(DEPLOYMENT))


def test_clients_may_use_every_name_that_kubernetes_gives_the_service():
    assert host_names("mlflow-tracking", "mlflow") == (
        "mlflow-tracking",
        "mlflow-tracking.mlflow",
        "mlflow-tracking.mlflow.svc",
        "mlflow-tracking.mlflow.svc.cluster.local",
    )


def test_two_servers_live_in_one_namespace(deploy):
    record = deploy(lambda: [server(), server(service="team-b-tracking", name="team-b")])

    urns = [r.urn for r in record.resources]
    assert len(urns) == len(set(urns))
    names = [
        (r.type, r.inputs["metadata"]["name"])
        for r in record.resources
        if "name" in r.inputs.get("metadata", {})
    ]
    assert len(names) == len(set(names))
    first, second = (r.inputs["spec"]["selector"] for r in record.all(SERVICE))
    assert first != second


def test_a_preview_knows_the_same_objects(deploy, record):
    preview = deploy(server, preview=True)

    assert {(r.type, r.name) for r in preview.resources} == {
        (r.type, r.name) for r in record.resources
    }
