"""What the GKE platform makes of its components."""

from tests.unit.conftest import deployed

AUTOSCALER = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
CLUSTER = "gcp:container/cluster:Cluster"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
JOB = "kubernetes:batch/v1:Job"
MONITORING = "kubernetes:monitoring.googleapis.com/v1:PodMonitoring"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
POOL = "gcp:container/nodePool:NodePool"
SERVICE = "gcp:projects/service:Service"
SEAL = "random:index/randomId:RandomId"
WORKLOAD_IDENTITY = "gcp:serviceaccount/iAMMember:IAMMember"

APIS = {
    "gcp:artifactregistry/": "artifactregistry",
    "gcp:compute/": "compute",
    "gcp:container/": "container",
    "gcp:projects/iAMMember": "cloudresourcemanager",
    "gcp:projects/iAMCustomRole": "iam",
    "gcp:serviceaccount/": "iam",
    "gcp:servicenetworking/": "servicenetworking",
    "gcp:sql/": "sqladmin",
    "gcp:storage/": "storage",
}
"""Which API answers for which resources; Google refuses those that come before it is enabled."""


def seal(on_google):
    return next(r for r in on_google.all(SEAL) if "mlflow-platform:gcp:Seal$" in r.urn)


def test_a_destroy_of_a_protected_stack_ends_before_it_has_begun(on_google):
    """Everything else would be deleted after the seal, and the seal refuses."""
    after = on_google.before(seal(on_google)) | {seal(on_google).urn}

    assert [r.urn for r in on_google.resources if r.urn not in after] == []
    assert seal(on_google).options.protect is (on_google.stack == "prod")


def test_pods_wait_for_nodes(on_google):
    for pods in (on_google.one(JOB), on_google.one(DEPLOYMENT)):
        assert on_google.waits_for(pods, on_google.one(POOL, "cpu"))
        assert not on_google.waits_for(pods, on_google.one(POOL, "gpu"))


def test_nothing_else_in_the_cluster_waits_for_nodes(on_google):
    waiting = {
        r.type
        for r in on_google.resources
        if r.type.startswith("kubernetes:") and on_google.waits_for(r, on_google.one(POOL, "cpu"))
    }

    # The operator that looks at a PodMonitoring before it is taken runs on a node itself.
    assert waiting <= {JOB, DEPLOYMENT, AUTOSCALER, MONITORING}


def test_the_gpu_pool_comes_beside_another(on_google):
    assert on_google.waits_for(on_google.one(POOL, "gpu"), on_google.one(POOL, "cpu"))


def test_an_identity_is_given_to_pods_only_when_the_cluster_has_made_the_pool_of_them(on_google):
    grants = on_google.all(WORKLOAD_IDENTITY)

    assert {g.inputs["member"].partition("[")[2] for g in grants} == {
        "mlflow/tracking]",
        "mlflow/migration]",
        "training/training]",
    }
    for grant in grants:
        assert on_google.waits_for(grant, on_google.one(CLUSTER))


def test_only_the_servers_proxy_logs_in_for_the_pod(on_google):
    def arguments(owner):
        (proxy,) = owner.inputs["spec"]["template"]["spec"]["initContainers"]
        return proxy["args"]

    assert "--auto-iam-authn" in arguments(on_google.one(DEPLOYMENT))
    assert "--auto-iam-authn" not in arguments(on_google.one(JOB))


def test_what_to_type_opens_the_tunnel(on_google):
    if on_google.preview:
        return
    login, tunnel = on_google.outputs["connectCommand"].split(" && ")

    assert login.startswith("gcloud container clusters get-credentials mlflow-")
    assert tunnel == "kubectl --namespace mlflow port-forward service/mlflow-tracking 5000:80"
    assert on_google.outputs["trackingUri"] == "http://127.0.0.1:5000"


def test_jobs_call_the_server_by_its_name_in_the_cluster(on_google):
    if on_google.preview:
        return
    assert on_google.outputs["trackingUriInCluster"] == (
        "http://mlflow-tracking.mlflow.svc.cluster.local"
    )


def test_every_resource_waits_for_its_api(on_google):
    apis = {s.inputs["service"].removesuffix(".googleapis.com"): s for s in on_google.all(SERVICE)}
    early = [
        (resource.type, resource.name)
        for resource in on_google.resources
        for prefix, api in APIS.items()
        if resource.type.startswith(prefix) and not on_google.waits_for(resource, apis[api])
    ]

    assert early == []


def test_googles_prometheus_reads_all_pods_of_the_server_and_nothing_but_their_metrics(on_google):
    pods = on_google.one(DEPLOYMENT).inputs["spec"]["template"]
    ports = {each["name"]: each["containerPort"] for each in pods["spec"]["containers"][0]["ports"]}
    monitoring = on_google.one(MONITORING).inputs
    (endpoint,) = monitoring["spec"]["endpoints"]
    selected = monitoring["spec"]["selector"]["matchLabels"]
    assert selected.items() <= pods["metadata"]["labels"].items()
    assert monitoring["metadata"]["namespace"] == "mlflow"

    open_to = {
        rule["ports"][0]["port"]: [
            peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
            for peer in rule["from"]
        ]
        for policy in on_google.all(POLICY)
        for rule in policy.inputs["spec"].get("ingress", [])
        if policy.inputs["metadata"]["namespace"] == "mlflow"
    }
    assert open_to == {
        ports["http"]: ["training"],
        ports[endpoint["port"]]: ["gmp-system", "gke-gmp-system"],
    }


def test_plain_mlflow_has_no_metrics_and_nobody_asks_for_them():
    plain = deployed("gke", server={"engine": "stock"})

    (container,) = plain.one(DEPLOYMENT).inputs["spec"]["template"]["spec"]["containers"]
    assert [port["name"] for port in container["ports"]] == ["http"]
    assert plain.all(MONITORING) == []
