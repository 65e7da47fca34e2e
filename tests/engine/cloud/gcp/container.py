"""Clusters and node pools."""

import base64

from ..kind import Kind
from ..kind import replaced_by as replaced
from ..refusal import RefusedError, google
from ..thing import Thing
from ..wire import Inputs, at
from ..world import Visit, World
from . import compute
from .iam import need_account
from .place import address, digits, link, project

CLUSTER = "gcp:container/cluster:Cluster"
NODE_POOL = "gcp:container/nodePool:NodePool"
API = "container.googleapis.com"

# What the provider documents as, or the API answers with, "cannot be changed after creation".
NODE_CONFIG_IS_FIXED = (
    "serviceAccount",
    "oauthScopes",
    "guestAccelerators",
    "spot",
    "preemptible",
    "localSsdCount",
    "metadata",
    "shieldedInstanceConfig",
    "minCpuPlatform",
)


def _cluster_id(world: World, inputs: Inputs) -> str:
    where = f"projects/{project(world, inputs)}/locations/{inputs['location']}"
    return f"{where}/clusters/{inputs['name']}"


def _cluster(world: World, inputs: Inputs) -> Inputs:
    digest = digits(_cluster_id(world, inputs))
    region = "-".join(str(inputs["location"]).split("-")[:2])
    control_plane = inputs.get("controlPlaneEndpointsConfig") or {}
    return {
        "project": project(world, inputs),
        "endpoint": address(digest),
        "masterAuth": {
            **(inputs.get("masterAuth") or {}),
            "clusterCaCertificate": base64.b64encode(f"ca of {digest}".encode()).decode(),
        },
        "masterVersion": "1.34.4-gke.1000",
        "selfLink": link("container", _cluster_id(world, inputs)),
        "controlPlaneEndpointsConfig": {
            **control_plane,
            "dnsEndpointConfig": {
                **(control_plane.get("dnsEndpointConfig") or {}),
                "endpoint": f"gke-{digest}-{world.number}.{region}.gke.goog",
            },
        },
    }


def _admit_cluster(visit: Visit) -> None:
    _node_account(visit)
    if len(str(visit.inputs["name"])) > 40:
        raise google(400, "Cluster name must be 1-40 characters long., badRequest")


def _node_account(visit: Visit) -> None:
    for path in (
        "nodeConfig.serviceAccount",
        "clusterAutoscaling.autoProvisioningDefaults.serviceAccount",
    ):
        if email := at(visit.inputs, path):
            need_account(visit, email)


def _pool_of_the_project(world: World, cluster: Thing) -> None:
    if pool := at(cluster.inputs, "workloadIdentityConfig.workloadPool"):
        world.workload_pools.add(pool)


def _objects_go_too(world: World, cluster: Thing) -> None:
    for token, id in list(world.things):
        if token.startswith("kubernetes:"):
            del world.things[token, id]


def _cluster_is_protected(world: World, cluster: Thing) -> None:
    # Absent means true: the provider's own default.
    if cluster.inputs.get("deletionProtection", True):
        raise RefusedError(
            f"Cannot destroy cluster {cluster.outputs['name']} because deletion_protection is "
            "set to true. Set it to false to proceed with cluster deletion."
        )


def _admit_pool(visit: Visit) -> None:
    _node_account(visit)
    machine = at(visit.inputs, "nodeConfig.machineType") or "e2-medium"
    gpus = at(visit.inputs, "nodeConfig.guestAccelerators") or []
    if any("t4" in gpu["type"] for gpu in gpus) and not machine.startswith("n1-"):
        raise google(400, f"[{machine}] machines cannot have accelerators attached., badRequest")
    if gpus:
        # Beside another pool GKE taints GPU nodes itself; as the first one it would take every pod.
        visit.note(
            *[
                pool
                for pool in visit.world.of(NODE_POOL)
                if pool.usable and not at(pool.inputs, "nodeConfig.guestAccelerators")
            ][:1]
        )


def _pool_id(world: World, inputs: Inputs) -> str:
    cluster = world.find(CLUSTER, inputs["cluster"])
    return f"{cluster.id if cluster else inputs['cluster']}/nodePools/{inputs['name']}"


KINDS = (
    Kind(
        token=CLUSTER,
        id=_cluster_id,
        seconds=480,  # 5 to 8 minutes, regional ones at the upper end
        seconds_to_update=120,
        seconds_to_delete=240,
        api=API,
        replaced_by=replaced(
            "name",
            "location",
            "network",
            "subnetwork",
            "initialNodeCount",
            "ipAllocationPolicy",
            "privateClusterConfig.masterIpv4CidrBlock",
            "datapathProvider",
            "networkingMode",
            "enableAutopilot",
            "description",
            "nodeConfig",
            "confidentialNodes",
            "defaultMaxPodsPerNode",
            "enableKubernetesAlpha",
        ),
        references={"network": compute.NETWORK, "subnetwork": compute.SUBNETWORK},
        computed=_cluster,
        admit=_admit_cluster,
        created=_pool_of_the_project,
        release=_cluster_is_protected,
        deleted=_objects_go_too,
    ),
    Kind(
        token=NODE_POOL,
        id=_pool_id,
        seconds=180,  # an instance group and its first nodes
        seconds_to_update=60,
        seconds_to_delete=150,
        api=API,
        replaced_by=replaced(
            "name",
            "cluster",
            "location",
            "initialNodeCount",
            "maxPodsPerNode",
            "placementPolicy",
            "queuedProvisioning",
            *[f"nodeConfig.{key}" for key in NODE_CONFIG_IS_FIXED],
        ),
        references={"cluster": CLUSTER},
        part_of="cluster",
        computed=lambda world, inputs: {"project": project(world, inputs)},
        admit=_admit_pool,
    ),
)
