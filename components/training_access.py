"""What training Jobs run as, and who may start them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as k8s
from pulumi import Input, Output, ResourceOptions

from server.pod import Document

LABELS = {
    "app.kubernetes.io/component": "training",
    "app.kubernetes.io/part-of": "mlflow-platform",
    "app.kubernetes.io/managed-by": "pulumi",
}

READ = ["get", "list", "watch"]


@dataclass(frozen=True, kw_only=True)
class TrainingAccessArgs:
    """Wiring of training."""

    namespace: Input[str]
    """Where the Jobs run."""
    server_namespace: Input[str]
    """Where the tracking server runs."""
    account: str
    """Real name of the Kubernetes service account to make; Job templates contain it."""
    annotations: Mapping[str, Input[str]] = field(default_factory=dict)
    """What ties that account to an identity of the cloud."""
    pull_secrets: Sequence[Input[str]] = ()
    """Secrets of the namespace with a login to the image's registry."""
    people: Sequence[str] = ()
    """Who may submit Jobs and open the tunnel to the server: names as the cluster knows them, on
    GKE e-mail addresses. Whoever administers the cluster may do both anyway."""
    ray: bool = False
    """Whether they may submit jobs of Ray too."""
    login: bool = False
    """Whether Jobs need a login to the server, which whoever submits them hands over."""


class TrainingAccess(pulumi.ComponentResource):
    """The Jobs' account, without rights in the cluster, and the rights of those who submit."""

    account: Output[str]

    def __init__(self, name: str, args: TrainingAccessArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:kubernetes:TrainingAccess", name, None, opts)
        child = ResourceOptions(parent=self)

        account = k8s.core.v1.ServiceAccount(
            name,
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
        ray_jobs: list[Document] = [
            {
                "apiGroups": ["ray.io"],
                "resources": ["rayjobs"],
                "verbs": [*READ, "create", "delete"],
            }
        ]
        # To read one, or to write over it, is another right.
        logins: list[Document] = [
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}
        ]
        rights: dict[str, tuple[Input[str], Document]] = {
            "submit": (
                args.namespace,
                [
                    {
                        "apiGroups": ["batch"],
                        "resources": ["jobs"],
                        "verbs": [*READ, "create", "delete"],
                    },
                    # MLflow's own backend follows its Jobs by this.
                    {"apiGroups": ["batch"], "resources": ["jobs/status"], "verbs": ["get"]},
                    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": READ},
                    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
                    *(ray_jobs if args.ray else []),
                    *(logins if args.login else []),
                ],
            ),
            "tunnel": (
                args.server_namespace,
                [
                    {"apiGroups": [""], "resources": ["services", "pods"], "verbs": READ},
                    {
                        "apiGroups": [""],
                        "resources": ["pods/portforward"],
                        "verbs": ["get", "create"],
                    },
                ],
            ),
        }
        for what, (namespace, rules) in rights.items() if args.people else ():
            metadata: Document = {"namespace": namespace, "labels": LABELS}
            role = k8s.rbac.v1.Role(f"{name}-{what}", metadata=metadata, rules=rules, opts=child)
            group = {"apiGroup": "rbac.authorization.k8s.io"}
            reference: Document = {**group, "kind": "Role", "name": role.metadata.name}
            people: Document = [{**group, "kind": "User", "name": one} for one in args.people]
            k8s.rbac.v1.RoleBinding(
                f"{name}-{what}",
                metadata=metadata,
                role_ref=reference,
                subjects=people,
                opts=child,
            )

        self.account = account.metadata.name
        self.register_outputs({})
