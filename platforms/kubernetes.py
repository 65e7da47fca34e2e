"""The platform in a Kubernetes cluster that exists. Each line needs only the lines above it."""

import shlex

import pulumi_kubernetes as k8s
from pulumi import Input, ResourceOptions

from components.cluster_images import ClusterImages, ClusterImagesArgs
from components.login import Login, LoginArgs
from components.migration import Migration, MigrationArgs
from components.namespace import Namespace, NamespaceArgs
from components.network_policies import (
    DNS,
    HTTPS,
    Caller,
    NetworkPolicies,
    NetworkPoliciesArgs,
    pods,
)
from components.ray_operator import RayOperator, RayOperatorArgs
from components.seal import Seal, SealArgs
from components.tracking_server import (
    PORT,
    TrackingServer,
    TrackingServerArgs,
    host_names,
    listeners,
    pod_labels,
)
from components.training_access import TrainingAccess, TrainingAccessArgs
from server.spec import ADMIN, METRICS_PORT, MLFLOW_VERSION, LoginSettings, ServerSpec

from .handoff import Handoff
from .kubernetes_stack import Stack
from .kubernetes_stores import MLFLOW_PODS, artifacts_of, database_of

__all__ = ["Stack", "deploy"]

NAME = "mlflow"

SERVICE = "mlflow-tracking"

SERVER_PORT = 5000
"""In the pods."""


def deploy(stack: Stack) -> Handoff:
    """Declare the namespaces, the stores and the server."""
    cluster = k8s.Provider(
        NAME,
        context=stack.context,
        kubeconfig=stack.kubeconfig_path,
        # Where the kubeconfig lies differs from person to person; which cluster it is does not.
        cluster_identifier=stack.context,
    )
    in_cluster = ResourceOptions(providers=[cluster])
    images = ClusterImages(NAME, ClusterImagesArgs(settings=stack.images, cluster=stack.cluster))

    made: list[Namespace] = []

    def namespace(name: str, *, protect: bool) -> Input[str]:
        if not stack.namespaces.create:
            return name
        made.append(Namespace(name, NamespaceArgs(name=name, protect=protect), opts=in_cluster))
        return made[-1].name

    serving = namespace(stack.namespaces.serving, protect=stack.protect_data)
    training = namespace(stack.namespaces.training, protect=False)
    pull_secrets = stack.images.pull_secrets

    database = database_of(stack, serving, opts=in_cluster)
    artifacts = artifacts_of(stack, serving, opts=in_cluster)
    server_pods = pod_labels(SERVICE)
    spec = ServerSpec(
        size=stack.size,
        engine=stack.server.engine,
        host="0.0.0.0",  # noqa: S104
        port=SERVER_PORT,
        names=(*host_names(SERVICE, stack.namespaces.serving), "localhost", "127.0.0.1"),
        auth=stack.access.auth,
        login=stack.access.login or LoginSettings(),
        metrics=METRICS_PORT if stack.server.metrics_from else None,
    )
    serving_policies = NetworkPolicies(
        "serving",
        NetworkPoliciesArgs(
            namespace=serving,
            egress=[],
            callers=[
                Caller(
                    name="mlflow",
                    labels=MLFLOW_PODS,
                    egress=[DNS, *database.egress, *artifacts.egress],
                )
            ],
            listeners=[
                *listeners(SERVICE, spec, callers=[training], watchers=stack.server.metrics_from),
                *database.listeners,
                *artifacts.listeners,
            ],
        ),
        opts=in_cluster,
    )
    training_policies = NetworkPolicies(
        "training",
        NetworkPoliciesArgs(
            namespace=training,
            # Data sets may lie where the artifacts do; who may read them is up to the store.
            egress=[DNS, HTTPS, *artifacts.public, pods(serving, server_pods, SERVER_PORT)],
        ),
        opts=in_cluster,
    )
    ray = (
        [RayOperator("ray", RayOperatorArgs(namespace=training, chart=True), opts=in_cluster)]
        if stack.ray_operator
        else []
    )
    login = (
        Login(NAME, LoginArgs(protect=stack.protect_data)) if stack.access.auth == "basic" else None
    )
    migration = Migration(
        NAME,
        MigrationArgs(
            namespace=serving,
            image=images.tracking,
            owner_url=database.owner_url,
            runtime_role=database.runtime_role,
            admin_password=login.password if login else None,
            account="migration",
            pull_secrets=pull_secrets,
        ),
        opts=in_cluster,
    )
    server = TrackingServer(
        NAME,
        TrackingServerArgs(
            namespace=serving,
            service=SERVICE,
            spec=spec,
            image=migration.image,
            backend_url=database.runtime_url,
            artifacts_url=artifacts.url,
            settings=artifacts.settings,
            credentials={
                **artifacts.credentials,
                **(spec.login_secrets(login.password, login.key) if login else {}),
            },
            files=artifacts.files,
            account="tracking",
            pull_secrets=pull_secrets,
        ),
        opts=in_cluster,
    )
    jobs = TrainingAccess(
        "training",
        TrainingAccessArgs(
            namespace=training,
            server_namespace=serving,
            account="training",
            pull_secrets=pull_secrets,
            people=stack.access.people,
            ray=stack.ray_operator,
            login=login is not None,
        ),
        opts=in_cluster,
    )

    Seal(
        NAME,
        SealArgs(
            protect=stack.protect_data,
            everything=[
                *(cluster, images, *made, *database.parts, *artifacts.parts),
                *(serving_policies, training_policies, *ray, migration, server, jobs),
                *([login] if login else []),
            ],
        ),
    )

    tunnel = f"http://127.0.0.1:{stack.access.port}"
    kubectl = ["kubectl", f"--context={stack.context}", f"--namespace={stack.namespaces.serving}"]
    if stack.kubeconfig_path:
        kubectl.append(f"--kubeconfig={stack.kubeconfig_path}")
    return Handoff(
        tracking_uri=tunnel,
        tracking_uri_in_cluster=server.uri,
        ui_url=tunnel,
        artifact_root=artifacts.url,
        server_version=MLFLOW_VERSION,
        namespace=training,
        connect_command=shlex.join(
            [*kubectl, "port-forward", f"service/{SERVICE}", f"{stack.access.port}:{PORT}"]
        ),
        training_image=images.training,
        training_image_tagged=images.training_tagged,
        training_service_account=jobs.account,
        accelerator=None,
        admin_user=ADMIN if login else None,
        admin_password=login.password if login else None,
    )
