"""The whole platform on this machine, on loopback. Each line needs only the lines above it."""

from components import local as c
from server.spec import MLFLOW_VERSION, ServerSpec

from .handoff import Handoff
from .local_stack import Stack

__all__ = ["Stack", "deploy"]


def deploy(stack: Stack) -> Handoff:
    """Declare the three processes; each `up` leaves all of them running and answering."""
    database = c.Postgres(
        "mlflow",
        c.PostgresArgs(
            folder=str(stack.data / "postgres"),
            port=stack.ports.database,
            connections=stack.size.budget,
            keep=stack.keep_data,
        ),
    )
    objects = c.ObjectStore(
        "mlflow",
        c.ObjectStoreArgs(
            folder=str(stack.data / "objects"), port=stack.ports.objects, keep=stack.keep_data
        ),
    )
    artifacts = objects.url.apply(lambda url: f"{url}/artifacts")
    spec = ServerSpec(
        size=stack.size,
        engine=stack.server.engine,
        host=c.HOST,
        port=stack.ports.server,
        names=(c.HOST, "localhost"),
    )
    server = c.Server(
        "mlflow",
        c.ServerArgs(
            folder=str(stack.data / "server"),
            port=spec.port,
            release=MLFLOW_VERSION,
            command=spec.command(),
            environment={
                **spec.environment(),
                **spec.stores(database.runtime_url, artifacts),
                "STORAGE_EMULATOR_HOST": objects.endpoint,
                "MLFLOW_GCS_UPLOAD_CHUNK_SIZE": str(c.UPLOAD_CHUNK_BYTES),
            },
            owner_url=database.owner_url,
            runtime_role=database.runtime_role,
            keep=stack.keep_data,
        ),
    )
    return Handoff(
        tracking_uri=server.uri,
        tracking_uri_in_cluster=server.uri,
        ui_url=server.uri,
        artifact_root=artifacts,
        server_version=server.version,
        namespace=None,
        connect_command=None,
        training_image=None,
        training_image_tagged=None,
        training_service_account=None,
        accelerator=None,
        admin_user=None,
        admin_password=None,
    )
