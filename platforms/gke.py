"""The platform on Google Cloud. Each line needs only the lines above it."""

from collections.abc import Mapping

from pulumi import Output, ResourceOptions

from components.after import after
from components.artifacts import Artifacts, ArtifactsArgs
from components.cluster import Cluster, ClusterArgs
from components.database import Database, DatabaseArgs
from components.identities import Identities, IdentitiesArgs, Identity
from components.images import Images, ImagesArgs
from components.login import Login, LoginArgs
from components.migration import Migration, MigrationArgs
from components.namespace import Namespace, NamespaceArgs
from components.network import Network, NetworkArgs
from components.network_policies import (
    DNS,
    HTTPS,
    METADATA,
    NetworkPolicies,
    NetworkPoliciesArgs,
    cloud_sql,
    pods,
)
from components.node_pool import NodePool, NodePoolArgs, NodePoolSettings
from components.pod_monitoring import COLLECTORS, PodMonitoring, PodMonitoringArgs
from components.ray_operator import RayOperator, RayOperatorArgs
from components.seal import Seal, SealArgs
from components.services import Services, ServicesArgs
from components.sql_proxy import sql_proxy
from components.tracking_server import (
    PORT,
    TrackingServer,
    TrackingServerArgs,
    host_names,
    listeners,
    pod_labels,
)
from components.training_access import TrainingAccess, TrainingAccessArgs
from components.workload_identity import WorkloadIdentity, WorkloadIdentityArgs
from server.spec import ADMIN, METRICS_PORT, MLFLOW_VERSION, LoginSettings, ServerSpec

from .gke_stack import Stack
from .handoff import Handoff

__all__ = ["Stack", "deploy"]

APIS = (
    "artifactregistry",
    "cloudbuild",
    "cloudresourcemanager",
    "compute",
    "container",
    "iam",
    "iamcredentials",
    "logging",
    "monitoring",
    "servicenetworking",
    "sqladmin",
    "storage",
)

SERVING, TRAINING = "mlflow", "training"
"""Kubernetes namespaces of the server and of training Jobs."""

SERVICE = "mlflow-tracking"

SERVER_PORT = 5000
"""In the pods; a laptop's end of the tunnel has the same."""


def deploy(stack: Stack) -> Handoff:
    """Declare the cloud's part, then what runs in the cluster."""
    site = stack.site
    services = Services(site.name, ServicesArgs(site=site, apis=APIS))
    apis = services.enabled
    identities = Identities(
        site.name,
        IdentitiesArgs(site=site, apis=apis, builder=stack.images.builder == "cloudbuild"),
    )
    images = Images(
        site.name,
        ImagesArgs(
            site=site,
            apis=apis,
            settings=stack.images,
            builder=identities.builder,
            reader=identities.nodes,
            gpu=stack.gpu_pool is not None,
        ),
    )
    artifacts = Artifacts(
        site.name,
        ArtifactsArgs(
            site=site,
            apis=apis,
            settings=stack.artifacts,
            server=identities.tracking,
            training=identities.training,
        ),
    )
    network = Network(site.name, NetworkArgs(site=site, apis=apis, settings=stack.network))
    database = Database(
        site.name,
        DatabaseArgs(
            site=site,
            apis=apis,
            settings=stack.database,
            network=network.peered,
            server=identities.tracking,
            migration=identities.migration,
        ),
    )
    cluster = Cluster(
        site.name,
        ClusterArgs(
            site=site,
            apis=apis,
            settings=stack.cluster,
            network=network.id,
            subnetwork=network.subnetwork,
            account=identities.nodes.email,
            people=stack.access.people,
        ),
    )

    def pool(name: str, settings: NodePoolSettings, *beside: NodePool) -> NodePool:
        args = NodePoolArgs(
            site=site,
            settings=settings,
            cluster=cluster.id,
            zones=cluster.zones,
            account=identities.nodes.email,
        )
        return NodePool(name, args, opts=ResourceOptions(depends_on=beside))

    cpu = pool("cpu", stack.cpu_pool)
    # GKE taints GPU nodes by itself, but only beside another pool, which no value says.
    gpus = [pool("gpu", stack.gpu_pool, cpu)] if stack.gpu_pool else []

    in_cluster = ResourceOptions(providers=[cluster.kubernetes])

    serving = Namespace(SERVING, NamespaceArgs(name=SERVING), opts=in_cluster)
    training = Namespace(TRAINING, NamespaceArgs(name=TRAINING), opts=in_cluster)
    spec = ServerSpec(
        size=stack.size,
        engine=stack.server.engine,
        host="0.0.0.0",  # noqa: S104
        port=SERVER_PORT,
        names=(*host_names(SERVICE, SERVING), "localhost", "127.0.0.1"),
        artifact_access=stack.artifacts.access,
        auth=stack.access.auth,
        login=stack.access.login or LoginSettings(),
        metrics=METRICS_PORT,
    )
    serving_policies = NetworkPolicies(
        SERVING,
        NetworkPoliciesArgs(
            namespace=serving.name,
            egress=[DNS, HTTPS, METADATA, cloud_sql(stack.network.peering)],
            listeners=listeners(SERVICE, spec, callers=[training.name], watchers=COLLECTORS),
        ),
        opts=in_cluster,
    )
    training_policies = NetworkPolicies(
        TRAINING,
        NetworkPoliciesArgs(
            namespace=training.name,
            egress=[DNS, HTTPS, METADATA, pods(serving.name, pod_labels(SERVICE), SERVER_PORT)],
        ),
        opts=in_cluster,
    )
    ray = (
        [RayOperator("ray", RayOperatorArgs(namespace=training.name, chart=False), opts=in_cluster)]
        if stack.cluster.ray_operator
        else []
    )

    def acting_as(identity: Identity, namespace: str, account: str) -> Mapping[str, Output[str]]:
        args = WorkloadIdentityArgs(
            identity=identity,
            workload_pool=cluster.workload_pool,
            namespace=namespace,
            service_account=account,
        )
        return WorkloadIdentity(account, args).annotations

    login = (
        Login("mlflow", LoginArgs(protect=site.protect)) if stack.access.auth == "basic" else None
    )
    migration = Migration(
        "mlflow",
        MigrationArgs(
            namespace=serving.name,
            image=after(images.tracking, cpu.machines),
            owner_url=database.owner_url,
            runtime_role=database.runtime_role,
            admin_password=login.password if login else None,
            account="migration",
            annotations=acting_as(identities.migration, SERVING, "migration"),
            instance=database.connection_name,
            sidecars=[sql_proxy(database.connection_name, iam_login=False)],
        ),
        opts=in_cluster,
    )
    server = TrackingServer(
        "mlflow",
        TrackingServerArgs(
            namespace=serving.name,
            service=SERVICE,
            spec=spec,
            image=migration.image,
            backend_url=database.runtime_url,
            artifacts_url=artifacts.url,
            credentials=spec.login_secrets(login.password, login.key) if login else {},
            account="tracking",
            annotations=acting_as(identities.tracking, SERVING, "tracking"),
            sidecars=[sql_proxy(database.connection_name, iam_login=stack.database.login == "iam")],
        ),
        opts=in_cluster,
    )
    monitoring = (
        [
            PodMonitoring(
                "mlflow",
                PodMonitoringArgs(namespace=serving.name, labels=pod_labels(SERVICE)),
                opts=ResourceOptions.merge(in_cluster, ResourceOptions(depends_on=[server])),
            )
        ]
        if spec.metrics_port
        else []
    )
    jobs = TrainingAccess(
        TRAINING,
        TrainingAccessArgs(
            namespace=training.name,
            server_namespace=serving.name,
            account="training",
            annotations=acting_as(identities.training, TRAINING, "training"),
            people=stack.access.people,
            ray=stack.cluster.ray_operator,
            login=login is not None,
        ),
        opts=in_cluster,
    )

    Seal(
        site.name,
        SealArgs(
            protect=site.protect,
            everything=[
                *(services, identities, images, artifacts, network, database, cluster, cpu, *gpus),
                *(serving, serving_policies, training, training_policies, migration, server, jobs),
                *ray,
                *monitoring,
                *([login] if login else []),
            ],
        ),
    )

    tunnel = f"http://127.0.0.1:{SERVER_PORT}"
    accelerator = stack.gpu_pool.accelerator if stack.gpu_pool else None
    return Handoff(
        tracking_uri=tunnel,
        tracking_uri_in_cluster=server.uri,
        ui_url=tunnel,
        artifact_root=artifacts.url,
        server_version=MLFLOW_VERSION,
        namespace=training.name,
        connect_command=Output.format(
            "{0} && kubectl --namespace {1} port-forward service/{2} {3}:{4}",
            cluster.credentials_command,
            serving.name,
            SERVICE,
            SERVER_PORT,
            PORT,
        ),
        training_image=images.training,
        training_image_tagged=images.training_tagged,
        training_service_account=jobs.account,
        accelerator=accelerator.type if accelerator else None,
        admin_user=ADMIN if login else None,
        admin_password=login.password if login else None,
    )
