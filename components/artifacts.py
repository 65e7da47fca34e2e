"""The bucket of models, plots and data sets."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pulumi
import pulumi_gcp as gcp
from pulumi import Output, ResourceOptions
from pydantic import Field

from settings import Refused, settings

from .after import after
from .identities import Identity
from .services import Apis
from .site import Site

READ, WRITE = "roles/storage.objectViewer", "roles/storage.objectUser"
"""Of objects. Neither may change who else has which right."""

DAY = 24 * 60 * 60


@settings
class ArtifactsSettings:
    """Who touches the bucket, and how long what was deleted can be had back."""

    access: Literal["proxied", "direct"] = "proxied"
    """Whether clients hand artifacts to the server, or write to the bucket with their own rights.
    Experiments keep the way that they were created with."""
    soft_delete_days: Annotated[int, Field(ge=0, le=90)] = 7
    """Days that a deleted object can be had back, and is paid for: 7 to 90, or 0 for not at all."""
    versioning: bool = False
    """Whether an overwritten object stays as an older version."""
    noncurrent_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """Days after which older versions are deleted."""
    autoclass: bool = False
    """Whether Google moves objects that nobody reads to cheaper classes, for a fee per object."""

    def __post_init__(self) -> None:
        if 0 < self.soft_delete_days < 7:
            raise Refused(
                "softDeleteDays",
                "Google keeps deleted objects for 7 days at least, or not at all",
                given=self.soft_delete_days,
                allowed="0, or 7 to 90",
                cure="7",
            )


@dataclass(frozen=True, kw_only=True)
class ArtifactsArgs:
    """Wiring of the bucket."""

    site: Site
    apis: Apis
    settings: ArtifactsSettings
    server: Identity
    training: Identity


class Artifacts(pulumi.ComponentResource):
    """One bucket with two folders: `artifacts` is MLflow's, `data` holds what training reads."""

    bucket: Output[str]
    url: Output[str]
    """Where MLflow keeps artifacts; given out once the server may write there."""
    data_url: Output[str]
    """Where data sets lie."""

    def __init__(self, name: str, args: ArtifactsArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:gcp:Artifacts", name, None, opts)
        site, settings = args.site, args.settings

        # No explicit name: buckets of all of Google's customers share one namespace.
        bucket = gcp.storage.Bucket(
            f"{name}-artifacts",
            project=args.apis["storage"],
            location=site.region,
            labels=site.labels,
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            force_destroy=not site.protect,
            # Left out, Google would keep deleted objects for its own seven days.
            soft_delete_policy={"retention_duration_seconds": settings.soft_delete_days * DAY},
            versioning={"enabled": settings.versioning},
            autoclass={"enabled": settings.autoclass},
            lifecycle_rules=[
                {
                    "action": {"type": "AbortIncompleteMultipartUpload"},
                    "condition": {"age": 7},
                },
                {
                    "action": {"type": "Delete"},
                    "condition": {"days_since_noncurrent_time": settings.noncurrent_days},
                },
            ],
            opts=ResourceOptions(parent=self, protect=site.protect),
        )

        def may(job: str, identity: Identity, role: str) -> gcp.storage.BucketIAMMember:
            return gcp.storage.BucketIAMMember(
                f"{name}-{job}",
                bucket=bucket.name,
                role=role,
                member=identity.member,
                opts=ResourceOptions(parent=self),
            )

        server = may("server-writes", args.server, WRITE)
        training = (
            may("training-writes", args.training, WRITE)
            if settings.access == "direct"
            else may("training-reads", args.training, READ)
        )

        self.bucket = bucket.name
        self.url = after(Output.format("{0}/artifacts", bucket.url), server, training)
        self.data_url = Output.format("{0}/data", bucket.url)
        self.register_outputs({})
