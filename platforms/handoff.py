"""The hand-off: what a stack exports, and all that `training/` and `client/` may rely on."""

from dataclasses import dataclass, fields

import pulumi
from pulumi import Input
from pydantic.alias_generators import to_camel


@dataclass(frozen=True, kw_only=True)
class Handoff:
    """The stack's outputs. Every platform exports all of them; `None` where one has no meaning."""

    tracking_uri: Input[str]
    """What `MLFLOW_TRACKING_URI` is set to on a laptop."""
    tracking_uri_in_cluster: Input[str]
    """The same server, as Jobs beside it reach it."""
    ui_url: Input[str]
    """The page to open in a browser."""
    artifact_root: Input[str]
    """Where models, plots and data sets are kept, as a URI."""
    server_version: Input[str]
    """MLflow's version on the server; clients should have the same."""
    namespace: Input[str] | None
    """Kubernetes namespace in which training Jobs run."""
    connect_command: Input[str] | None
    """What to type to reach `trackingUri` from a laptop; nothing where it answers at once."""
    training_image: Input[str] | None
    """Image of training Jobs, by digest."""
    training_image_tagged: Input[str | None]
    """The same image by its tag, which MLflow's own Kubernetes backend wants; nothing where no
    registry has it."""
    training_service_account: Input[str] | None
    """Kubernetes service account of training Jobs."""
    accelerator: Input[str] | None
    """GPU type of the GPU pool, as Google calls it."""
    admin_user: Input[str] | None
    """Who may do everything on the server; nothing where it has no login."""
    admin_password: Input[str] | None
    """Secret; nothing where the server has no login."""

    def export(self) -> None:
        """Make each field a stack output, in camelCase."""
        for field in fields(self):
            pulumi.export(to_camel(field.name), getattr(self, field.name))
