"""The Google accounts that parts of a stack act as; none of them has a key."""

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi import Output, ResourceOptions

from .after import after
from .services import Apis
from .site import Site


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A Google account, as others refer to it."""

    id: Output[str]
    """Full name, for rights on the account itself."""
    email: Output[str]
    """Given out once the account has its project-wide rights."""
    member: Output[str]
    """For rights that the account gets elsewhere."""


@dataclass(frozen=True, kw_only=True)
class IdentitiesArgs:
    """Wiring of the accounts."""

    site: Site
    apis: Apis
    builder: bool
    """Whether Cloud Build builds the images."""


class Identities(pulumi.ComponentResource):
    """One account for each job, so that each has the rights of that job alone.

    What an account may do with a resource is granted beside that resource.
    """

    nodes: Identity
    """Of the machines. Pods never act as it."""
    tracking: Identity
    """Of the server's pods."""
    training: Identity
    """Of training Jobs."""
    migration: Identity
    """Of the schema migration: it alone may back the database up."""
    builder: Identity | None
    """Of Cloud Build, whose default account may edit a whole old project and nothing in a new."""

    def __init__(self, name: str, args: IdentitiesArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:gcp:Identities", name, None, opts)

        def identity(job: str, title: str, *roles: str) -> Identity:
            account = gcp.serviceaccount.Account(
                f"{name}-{job}",
                project=args.apis["iam"],
                account_id=f"{args.site.name}-{job}",
                display_name=f"{args.site.name}: {title}",
                opts=ResourceOptions(parent=self),
            )
            granted = [
                gcp.projects.IAMMember(
                    f"{name}-{job}",
                    project=args.apis["cloudresourcemanager"],
                    role=role,
                    member=account.member,
                    opts=ResourceOptions(parent=self),
                )
                for role in roles
            ]
            return Identity(
                id=account.name, email=after(account.email, *granted), member=account.member
            )

        self.nodes = identity("nodes", "machines", "roles/container.defaultNodeServiceAccount")
        self.tracking = identity("tracking", "MLflow server")
        self.training = identity("training", "training jobs")
        self.migration = identity("migration", "schema migration")
        self.builder = (
            identity("builder", "image builds", "roles/logging.logWriter") if args.builder else None
        )
        self.register_outputs({})
