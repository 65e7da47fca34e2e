"""The images of the server and of training, and the repository that holds them."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pulumi
import pulumi_gcp as gcp
from pulumi import Input, Output, ResourceOptions
from pydantic import Field

from settings import settings

from .after import after
from .build_context import BuildContext
from .identities import Identity
from .image_build import ImageBuild
from .image_builders import LOCATIONS
from .services import Apis
from .site import Site

OLD_SECONDS = 90 * 24 * 60 * 60
"""Age from which an image may be cleaned up."""


@settings
class ImagesSettings:
    """Where images are kept and how they are built."""

    host: Literal["gcr.io", "us.gcr.io", "eu.gcr.io", "asia.gcr.io"] = "gcr.io"
    """Registry: in the United States (the first two), in Europe or in Asia."""
    repository: Literal["create", "reuse"] = "create"
    """A project has one repository per host. The stack that creates it takes it away with
    `destroy`, and every image in it; all other stacks reuse it."""
    builder: Literal["cloudbuild", "docker"] = "cloudbuild"
    """Who builds: Google, or Docker on this machine."""
    keep: Annotated[int, Field(ge=1, le=1000)] = 50
    """Versions of each image that are kept however old they are. Others go after 90 days, also
    those that a stack still runs, so keep more than all stacks together can build in that time."""
    tracking_base: str | None = None
    """Base image of the server. By default the one in `server/Dockerfile`."""
    training_base: str | None = None
    """Base image of training. By default the one in `training/Dockerfile`."""


@dataclass(frozen=True, kw_only=True)
class ImagesArgs:
    """Wiring of the images."""

    site: Site
    apis: Apis
    settings: ImagesSettings
    builder: Identity | None
    """Who Cloud Build acts as; nobody where Docker builds."""
    reader: Identity
    """Who pulls: the nodes."""
    gpu: bool
    """Whether training has GPUs; without them its image needs no RAPIDS."""


class Images(pulumi.ComponentResource):
    """Two images, each built once per content and named by digest."""

    tracking: Output[str]
    """Given out once the nodes may pull it."""
    training: Output[str]
    """Given out once the nodes may pull it."""
    training_tagged: Output[str | None]

    def __init__(self, name: str, args: ImagesArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:gcp:Images", name, None, opts)
        site, settings = args.site, args.settings
        child = ResourceOptions(parent=self)
        project, location = args.apis["artifactregistry"], LOCATIONS[settings.host]

        repository: Output[str] = Output.from_input(settings.host)
        if settings.repository == "create":
            repository = gcp.artifactregistry.Repository(
                name,
                project=project,
                location=location,
                repository_id=settings.host,  # the name is what makes the host serve it
                format="DOCKER",
                description="Images under the names of Container Registry",
                labels=site.labels,
                cleanup_policies=[
                    {
                        "id": "keep-recent",
                        "action": "KEEP",
                        "most_recent_versions": {"keep_count": settings.keep},
                    },
                    {
                        "id": "delete-old",
                        "action": "DELETE",
                        "condition": {"tag_state": "ANY", "older_than": f"{OLD_SECONDS}s"},
                    },
                ],
                opts=child,
            ).repository_id

        def may(what: str, role: str, who: Identity) -> gcp.artifactregistry.RepositoryIamMember:
            return gcp.artifactregistry.RepositoryIamMember(
                f"{name}-{what}",
                project=project,
                location=location,
                repository=repository,
                role=role,
                member=who.member,
                opts=child,
            )

        pull = may("nodes-pull", "roles/artifactregistry.reader", args.reader)
        builder: dict[str, Input[str]] | None = None
        ready: list[pulumi.Resource] = []
        if args.builder:
            # Not Cloud Build's own bucket, which keeps what was sent for ever.
            staging = gcp.storage.Bucket(
                f"{name}-builds",
                project=args.apis["storage"],
                location=site.region,
                labels=site.labels,
                uniform_bucket_level_access=True,
                public_access_prevention="enforced",
                force_destroy=True,  # nothing in it is worth keeping
                soft_delete_policy={"retention_duration_seconds": 0},
                lifecycle_rules=[{"action": {"type": "Delete"}, "condition": {"age": 1}}],
                opts=child,
            )
            read = gcp.storage.BucketIAMMember(
                f"{name}-builder-reads",
                bucket=staging.name,
                role="roles/storage.objectViewer",
                member=args.builder.member,
                opts=child,
            )
            ready = [may("builder-pushes", "roles/artifactregistry.writer", args.builder), read]
            builder = {
                "project": args.apis["cloudbuild"],
                "account": args.builder.email,
                "staging": staging.name,
            }

        def image(part: str, folder: str, **arguments: str | None) -> ImageBuild:
            chosen = {key: value for key, value in arguments.items() if value}
            return ImageBuild(
                f"{name}-{part}",
                # Not named after the stack: what is the same for two stacks is built once.
                image=after(Output.format("{0}/{1}/mlflow-{2}", repository, project, part), *ready),
                context=BuildContext(folder, chosen),
                builder=builder,
                opts=child,
            )

        requirements = "requirements-gpu.txt" if args.gpu else "requirements.txt"
        tracking = image("tracking", "server", BASE=settings.tracking_base)
        training = image(
            "training", "training", BASE=settings.training_base, REQUIREMENTS=requirements
        )
        self.tracking = after(tracking.reference, pull)
        self.training = after(training.reference, pull)
        self.training_tagged = training.tagged
        self.register_outputs({})
