"""What makes pods act as a Google account."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi import Input, Output, ResourceOptions

from .after import after
from .identities import Identity


@dataclass(frozen=True, kw_only=True)
class WorkloadIdentityArgs:
    """Which pods, and as whom."""

    identity: Identity
    workload_pool: Input[str]
    """From the cluster: Google refuses to name a pool before the first cluster has made it."""
    namespace: str
    service_account: str
    """Kubernetes service account of the pods."""


class WorkloadIdentity(pulumi.ComponentResource):
    """The right of one Kubernetes service account to act as one Google account."""

    annotations: Mapping[str, Output[str]]
    """For the Kubernetes service account; given out once its pods may act as the Google account."""

    def __init__(self, name: str, args: WorkloadIdentityArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:gcp:WorkloadIdentity", name, None, opts)

        user = gcp.serviceaccount.IAMMember(
            name,
            service_account_id=args.identity.id,
            role="roles/iam.workloadIdentityUser",
            member=Output.format(
                "serviceAccount:{0}[{1}/{2}]",
                args.workload_pool,
                args.namespace,
                args.service_account,
            ),
            opts=ResourceOptions(parent=self),
        )

        self.annotations = {"iam.gke.io/gcp-service-account": after(args.identity.email, user)}
        self.register_outputs({})
