"""The Kubernetes cluster: its control plane, and the way in."""

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Literal

import pulumi
import pulumi_gcp as gcp
import pulumi_kubernetes as k8s
from pulumi import Input, Output, ResourceOptions
from pydantic import Field

from settings import Refused, settings

from .network import PODS, SERVICES
from .node_pool import SCOPE
from .services import Apis
from .site import Site

Day = Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


@settings
class MaintenanceSettings:
    """When Google may upgrade control plane and nodes."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = ("SA", "SU")
    """Days of the week."""
    hour: Annotated[int, Field(ge=0, le=23)] = 2
    """Begin of the window, in UTC."""
    hours: Annotated[int, Field(ge=4, le=24)] = 8
    """Length of the window; Google asks for four hours at least."""

    def __post_init__(self) -> None:
        if self.hours * len(self.days) < 12:
            raise Refused(
                "hours",
                f"leaves Google {self.hours * len(self.days) * 4} hours in four weeks",
                given=self.hours,
                allowed="48 hours or more in 32 days, all windows together",
                cure=str(-(-12 // len(self.days))),
            )


@settings
class NodeAutoProvisioningSettings:
    """Pools that GKE adds and removes by itself, for pods that fit no pool of the stack.

    The limits hold for the whole cluster, the stack's own pools included.
    """

    max_cpus: Annotated[int, Field(ge=1)]
    """CPUs of all nodes together."""
    max_memory_gb: Annotated[int, Field(ge=1)]
    """Memory of all nodes together."""
    max_accelerators: dict[str, Annotated[int, Field(ge=1)]] = field(default_factory=dict)
    """GPUs of all nodes together by type, for example `nvidia-tesla-t4: 4`; other types are never
    added."""


@settings
class ClusterSettings:
    """The control plane, and what applies to every node."""

    location: Literal["zonal", "regional"] = "zonal"
    """One control plane in the first zone, or one in each zone, so that upgrades go unnoticed."""
    release_channel: Literal["RAPID", "REGULAR", "STABLE", "EXTENDED"] = "REGULAR"
    """How new the Kubernetes version is that Google keeps the cluster at."""
    authorized_networks: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    """Ranges that may also call the control plane by its IP address. By default nobody may:
    it is called by its DNS name, where Google's IAM decides before Kubernetes is reached."""
    maintenance: MaintenanceSettings = field(default_factory=MaintenanceSettings)
    node_auto_provisioning: NodeAutoProvisioningSettings | None = None
    """Lets GKE add node pools for what fits in no other; without this section it adds none."""
    autoscaling: Literal["balanced", "optimize-utilization"] = "balanced"
    """How eagerly idle nodes are removed; the second saves money and moves pods more often."""
    logs: tuple[
        Literal["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER", "SCHEDULER", "CONTROLLER_MANAGER"],
        ...,
    ] = ("SYSTEM_COMPONENTS", "WORKLOADS")
    """What goes to Cloud Logging."""
    metrics: tuple[
        Literal[
            "SYSTEM_COMPONENTS",
            "APISERVER",
            "SCHEDULER",
            "CONTROLLER_MANAGER",
            "STORAGE",
            "HPA",
            "POD",
            "DAEMONSET",
            "DEPLOYMENT",
            "STATEFULSET",
            "JOBSET",
            "KUBELET",
            "CADVISOR",
            "DCGM",
        ],
        ...,
    ] = ("SYSTEM_COMPONENTS",)
    """What goes to Cloud Monitoring, besides the metrics that pods offer to managed Prometheus."""
    ray_operator: bool = False
    """Whether Google runs Ray's operator, so that a search may take many machines."""

    def __post_init__(self) -> None:
        for i, given in enumerate(self.authorized_networks):
            try:
                network = ipaddress.IPv4Network(given, strict=False)
            except ValueError:
                why, cure = "is not an IPv4 range", "203.0.113.0/24"
            else:
                if network.prefixlen == 0:
                    why, cure = "is the whole internet", "leave it out and use the DNS name"
                elif str(network) != given:
                    why, cure = "is not how Google writes that range", str(network)
                else:
                    continue
            raise Refused(
                f"authorizedNetworks[{i}]",
                why,
                given=given,
                allowed="ranges such as 203.0.113.0/24, or 203.0.113.7/32 for one address",
                cure=cure,
            )
        for key, chosen in (("logs", self.logs), ("metrics", self.metrics)):
            if chosen and "SYSTEM_COMPONENTS" not in chosen:
                raise Refused(
                    key,
                    "Google collects nothing without SYSTEM_COMPONENTS",
                    given=", ".join(chosen),
                    allowed="SYSTEM_COMPONENTS and others, or an empty list",
                    cure="add SYSTEM_COMPONENTS",
                )


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Wiring of a cluster."""

    site: Site
    apis: Apis
    settings: ClusterSettings
    network: Input[str]
    subnetwork: Input[str]
    account: Input[str]
    """E-mail address of the machines' own account."""
    people: Sequence[str] = ()
    """E-mail addresses of those who may find the cluster; what they may do in it is said there."""


class Cluster(pulumi.ComponentResource):
    """A control plane without machines; pools are added beside it."""

    id: Output[str]
    name: Output[str]
    location: Output[str]
    zones: tuple[str, ...]
    """Where its machines are, unless a pool says otherwise."""
    workload_pool: Output[str]
    """Of all Kubernetes service accounts; given out once Google knows it."""
    kubernetes: k8s.Provider
    """For objects in this cluster."""
    credentials_command: Output[str]
    """What to type for kubectl to know the cluster."""

    def __init__(self, name: str, args: ClusterArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:gcp:Cluster", name, None, opts)
        site, settings = args.site, args.settings
        regional = settings.location == "regional"
        self.zones = site.zones if regional else site.zones[:1]

        cluster = gcp.container.Cluster(
            name,
            project=args.apis["container"],
            name=site.name,
            location=site.region if regional else site.zones[0],
            node_locations=list(site.zones) if regional else None,
            resource_labels=site.labels,
            deletion_protection=site.protect,
            release_channel={"channel": settings.release_channel},
            maintenance_policy={"recurring_window": _window(settings.maintenance)},
            network=args.network,
            subnetwork=args.subnetwork,
            networking_mode="VPC_NATIVE",
            ip_allocation_policy={
                "cluster_secondary_range_name": PODS,
                "services_secondary_range_name": SERVICES,
            },
            datapath_provider="ADVANCED_DATAPATH",
            gateway_api_config={"channel": "CHANNEL_STANDARD"},
            private_cluster_config={
                "enable_private_nodes": True,
                "enable_private_endpoint": not settings.authorized_networks,
            },
            control_plane_endpoints_config={
                "dns_endpoint_config": {"allow_external_traffic": True},
                "ip_endpoints_config": {"enabled": bool(settings.authorized_networks)},
            },
            master_authorized_networks_config={
                "cidr_blocks": [{"cidr_block": block} for block in settings.authorized_networks],
                "gcp_public_cidrs_access_enabled": False,
            }
            if settings.authorized_networks
            else None,
            workload_identity_config={"workload_pool": f"{site.project}.svc.id.goog"},
            enable_shielded_nodes=True,
            node_pool_defaults={
                # The kubelet's port without a password, which GKE opens unless told not to.
                "node_config_defaults": {"insecure_kubelet_readonly_port_enabled": "FALSE"}
            },
            logging_config={"enable_components": list(settings.logs)},
            monitoring_config={
                "enable_components": list(settings.metrics),
                "managed_prometheus": {"enabled": True},
            },
            cost_management_config={"enabled": True},
            addons_config={
                "ray_operator_configs": [
                    {
                        "enabled": True,
                        "ray_cluster_logging_config": {"enabled": True},
                        "ray_cluster_monitoring_config": {"enabled": True},
                    }
                ]
            }
            if settings.ray_operator
            else None,
            node_pool_auto_config={
                "node_kubelet_config": {"insecure_kubelet_readonly_port_enabled": "FALSE"}
            }
            if settings.node_auto_provisioning
            else None,
            cluster_autoscaling=_autoscaling(args),
            # GKE makes no cluster without a pool. This one goes before the cluster is ready; the
            # provider would give it the project's default account and 100 GB in each zone.
            remove_default_node_pool=True,
            initial_node_count=1,
            node_config={
                "service_account": args.account,
                "oauth_scopes": [SCOPE],
                "disk_type": "pd-standard",
                "disk_size_gb": 20,
                "resource_labels": site.labels,
                "workload_metadata_config": {"mode": "GKE_METADATA"},
            },
            opts=ResourceOptions(
                parent=self,
                protect=site.protect,
                # Its name is taken while it is there.
                delete_before_replace=True,
                # Of a pool that is long gone; a difference would replace the cluster.
                ignore_changes=["nodeConfig"],
            ),
        )
        for person in args.people:
            gcp.projects.IAMMember(
                f"{name}-{person}",
                project=args.apis["cloudresourcemanager"],
                role="roles/container.clusterViewer",
                member=f"user:{person}",
                opts=ResourceOptions(parent=self),
            )
        endpoint = cluster.control_plane_endpoints_config.dns_endpoint_config.endpoint

        self.kubernetes = k8s.Provider(
            name,
            kubeconfig=Output.format("https://{0}", endpoint).apply(_kubeconfig),
            # Another cluster has another endpoint, and then none of the objects.
            cluster_identifier=endpoint,
            opts=ResourceOptions(parent=self),
        )
        self.id, self.name, self.location = cluster.id, cluster.name, cluster.location
        self.workload_pool = cluster.workload_identity_config.workload_pool
        self.credentials_command = Output.format(
            "gcloud container clusters get-credentials {0} --location {1} --project {2}"
            " --dns-endpoint",
            cluster.name,
            cluster.location,
            cluster.project,
        )
        self.register_outputs({})


def _window(
    maintenance: MaintenanceSettings,
) -> gcp.container.ClusterMaintenancePolicyRecurringWindowArgsDict:
    """The window's first occurrence, and how it recurs."""
    first = datetime(2026, 1, 1, maintenance.hour)
    last = first + timedelta(hours=maintenance.hours)
    return {
        "start_time": f"{first.isoformat()}Z",
        "end_time": f"{last.isoformat()}Z",
        "recurrence": f"FREQ=WEEKLY;BYDAY={','.join(maintenance.days)}",
    }


def _autoscaling(args: ClusterArgs) -> gcp.container.ClusterClusterAutoscalingArgsDict:
    profile = args.settings.autoscaling.upper().replace("-", "_")
    limits = args.settings.node_auto_provisioning
    if limits is None:
        return {"enabled": False, "autoscaling_profile": profile}
    return {
        "enabled": True,
        "autoscaling_profile": profile,
        "auto_provisioning_locations": list(args.site.zones),
        "auto_provisioning_defaults": {
            "service_account": args.account,
            "oauth_scopes": [SCOPE],
            "image_type": "COS_CONTAINERD",
            "disk_type": "pd-balanced",
            "management": {"auto_repair": True, "auto_upgrade": True},
            "shielded_instance_config": {
                "enable_secure_boot": not limits.max_accelerators,
                "enable_integrity_monitoring": True,
            },
        },
        "resource_limits": [
            {"resource_type": resource, "maximum": maximum}
            for resource, maximum in (
                ("cpu", limits.max_cpus),
                ("memory", limits.max_memory_gb),
                *sorted(limits.max_accelerators.items()),
            )
        ],
    }


def _kubeconfig(server: str) -> str:
    """Without a certificate authority: the DNS endpoint's certificate is a public one.

    Without a token too: the plugin fetches one each time, so that none ages in Pulumi's state.
    """
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "gke",
            "contexts": [{"name": "gke", "context": {"cluster": "gke", "user": "gcloud"}}],
            "clusters": [{"name": "gke", "cluster": {"server": server}}],
            "users": [
                {
                    "name": "gcloud",
                    "user": {
                        "exec": {
                            "apiVersion": "client.authentication.k8s.io/v1beta1",
                            "command": "gke-gcloud-auth-plugin",
                            "installHint": "gcloud components install gke-gcloud-auth-plugin",
                            "provideClusterInfo": True,
                        }
                    },
                }
            ],
        }
    )
