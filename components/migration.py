"""The Job that brings the database to the schema of the image, before its servers start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as k8s
from pulumi import CustomTimeouts, Input, Output, ResourceOptions

from server.auth.contract import ADMIN_PASSWORD
from server.migration_contract import INSTANCE, OWNER_URL, RUNTIME_ROLE
from server.pod import Document, SecretKey, migration_pod

from .after import after

LABELS = {
    "app.kubernetes.io/name": "mlflow",
    "app.kubernetes.io/component": "migration",
    "app.kubernetes.io/part-of": "mlflow-platform",
    "app.kubernetes.io/managed-by": "pulumi",
}

DEADLINE_SECONDS = 90 * 60
"""A backup of a large instance and the rewrite of a large table, with room."""


@dataclass(frozen=True, kw_only=True)
class MigrationArgs:
    """Wiring of a migration."""

    namespace: Input[str]
    image: Input[str]
    """The servers' image: it holds the schema that they expect."""
    owner_url: Input[str] | SecretKey
    """Secret. The URL of the role that owns the schema, as seen from the pod."""
    runtime_role: Input[str] | None
    """The role that the servers log in as; nothing where it is the owner."""
    admin_password: Input[str] | None = None
    """Secret. Of the admin to make, where users log in to the servers."""
    account: str
    """Real name of the Kubernetes service account to make."""
    annotations: Mapping[str, Input[str]] = field(default_factory=dict)
    """What ties that account to an identity of the cloud."""
    instance: Input[str] | None = None
    """`PROJECT:REGION:INSTANCE` to back up before an upgrade."""
    sidecars: Sequence[Document] = ()
    """What must run beside it for the database to be reached."""
    pull_secrets: Sequence[Input[str]] = ()
    """Secrets of the namespace with a login to the image's registry."""


class Migration(pulumi.ComponentResource):
    """One Job per image; a failed one fails the update and leaves the running servers alone."""

    image: Output[str]
    """The image again, given out once the database has its schema."""

    def __init__(self, name: str, args: MigrationArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:kubernetes:Migration", name, None, opts)
        child = ResourceOptions(parent=self)
        part = f"{name}-migration"

        account = k8s.core.v1.ServiceAccount(
            part,
            metadata={
                "name": args.account,
                "namespace": args.namespace,
                "labels": LABELS,
                "annotations": args.annotations or None,
            },
            image_pull_secrets=[{"name": name} for name in args.pull_secrets] or None,
            automount_service_account_token=False,
            opts=child,
        )
        told: dict[str, Input[str] | SecretKey] = {OWNER_URL: args.owner_url}
        if args.admin_password is not None:
            told[ADMIN_PASSWORD] = args.admin_password
        own = {name: value for name, value in told.items() if not isinstance(value, SecretKey)}
        secrets = {name: value for name, value in told.items() if isinstance(value, SecretKey)}
        if own:
            secret = k8s.core.v1.Secret(
                part,
                metadata={"namespace": args.namespace, "labels": LABELS},
                string_data=own,
                immutable=True,
                opts=child,
            )
            secrets |= {name: SecretKey(secret=secret.metadata.name, key=name) for name in own}
        variables: dict[str, Input[str]] = {}
        if args.runtime_role is not None:
            variables[RUNTIME_ROLE] = args.runtime_role
        if args.instance is not None:
            variables[INSTANCE] = args.instance
        spec: Document = {
            # Each attempt at an upgrade begins with a backup. A Job that a failure policy ends says
            # so in a way that Pulumi does not notice; one that has no attempt left, it does.
            "backoffLimit": 0,
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            "podFailurePolicy": {
                "rules": [
                    # Nodes come and go; that is no attempt.
                    {
                        "action": "Ignore",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    },
                ]
            },
            "template": {
                "metadata": {"labels": LABELS},
                "spec": migration_pod(
                    image=args.image,
                    account=account.metadata.name,
                    secrets=secrets,
                    variables=variables,
                    sidecars=args.sidecars,
                ),
            },
        }
        job = k8s.batch.v1.Job(
            part,
            metadata={
                "namespace": args.namespace,
                "labels": LABELS,
                # A Job cannot start again: the next update replaces a failed one.
                "annotations": {"pulumi.com/replaceUnready": "true"},
            },
            spec=spec,
            opts=ResourceOptions(
                parent=self,
                custom_timeouts=CustomTimeouts(create=f"{DEADLINE_SECONDS // 60 + 5}m"),
            ),
        )

        self.image = after(args.image, job)
        self.register_outputs({})
