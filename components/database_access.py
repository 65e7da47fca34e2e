"""Who may connect to the database instance, and who may back it up."""

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
import pulumi_random as random
from pulumi import Input, Output, Resource, ResourceOptions

from .identities import Identity
from .services import Apis
from .site import Site

BACK_UP = ("cloudsql.backupRuns.create", "cloudsql.backupRuns.get", "cloudsql.instances.get")
"""No role of Google's can back up without being able to change or delete the instance too."""


@dataclass(frozen=True, kw_only=True)
class DatabaseAccessArgs:
    """Wiring of the rights on an instance."""

    site: Site
    apis: Apis
    instance: Input[str]
    server: Identity
    server_logs_in: bool
    """Whether Postgres itself knows the server's account, not only the way to Postgres."""
    migration: Identity


class DatabaseAccess(pulumi.ComponentResource):
    """Rights on one instance. Cloud SQL grants them on projects only, so each has a condition."""

    grants: tuple[Resource, ...]

    def __init__(self, name: str, args: DatabaseAccessArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:gcp:DatabaseAccess", name, None, opts)
        child = ResourceOptions(parent=self)

        back_up = gcp.projects.IAMCustomRole(
            name,
            project=args.apis["iam"],
            # Google keeps a deleted role's id for weeks.
            role_id=random.RandomId(
                name,
                prefix=f"{args.site.name.replace('-', '_')}_backup_",
                byte_length=3,
                opts=child,
            ).hex,
            title=f"{args.site.name}: back up the database",
            permissions=list(BACK_UP),
            opts=child,
        )
        roles: list[tuple[str, Identity, Input[str]]] = [
            ("server-connects", args.server, "roles/cloudsql.client"),
            ("migration-connects", args.migration, "roles/cloudsql.client"),
            ("migration-backs-up", args.migration, back_up.name),
        ]
        if args.server_logs_in:
            roles.append(("server-logs-in", args.server, "roles/cloudsql.instanceUser"))
        self.grants = tuple(
            gcp.projects.IAMMember(
                f"{name}-{right}",
                project=args.apis["cloudresourcemanager"],
                role=role,
                member=identity.member,
                condition={
                    "title": Output.format("{0} only", args.instance),
                    "expression": Output.format(
                        'resource.service == "sqladmin.googleapis.com" && '
                        'resource.name.startsWith("projects/{0}/instances/{1}")',
                        args.site.project,
                        args.instance,
                    ),
                },
                opts=child,
            )
            for right, identity, role in roles
        )
        self.register_outputs({})
