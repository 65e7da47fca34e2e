from dataclasses import replace

import pytest
from pulumi import Output

from components.node_pool import AcceleratorSettings, NodePool, NodePoolArgs, NodePoolSettings
from settings import Refused

POOL = "gcp:container/nodePool:NodePool"
T4 = AcceleratorSettings()


@pytest.fixture
def pool(deploy, site):
    def inputs(cluster_zones=("europe-west4-b",), **chosen):
        args = NodePoolArgs(
            site=site,
            settings=NodePoolSettings(**chosen),
            cluster="projects/proj/locations/europe-west4-b/clusters/mlflow-dev",
            zones=cluster_zones,
            account=Output.from_input("nodes@proj.iam.gserviceaccount.com"),
        )
        return deploy(lambda: NodePool("cpu", args)).one(POOL)

    return inputs


@pytest.fixture
def gpu_pool(pool):
    def inputs(**chosen):
        return pool(**{"machine_type": "n1-standard-4", "accelerator": T4, **chosen})

    return inputs


def test_limits_are_of_all_zones_together(pool):
    scaling = pool(min_nodes=1, max_nodes=7).inputs["autoscaling"]

    assert (scaling["totalMinNodeCount"], scaling["totalMaxNodeCount"]) == (1, 7)


@pytest.mark.parametrize(
    ("zones", "min_nodes", "of_each_zone"),
    [(("b",), 2, 2), (("a", "b", "c"), 2, 1), (("a", "b", "c"), 4, 2)],
)
def test_a_pool_starts_with_its_minimum(pool, zones, min_nodes, of_each_zone):
    assert pool(cluster_zones=zones, min_nodes=min_nodes).inputs["initialNodeCount"] == of_each_zone


def test_a_pool_that_may_be_empty_starts_empty(pool):
    assert "initialNodeCount" not in pool(min_nodes=0).inputs


def test_another_minimum_does_not_replace_the_pool(pool):
    assert list(pool(min_nodes=1).options.ignoreChanges) == ["initialNodeCount"]


def test_a_pool_takes_a_generated_name_so_that_its_successor_can_exist_beside_it(pool):
    assert "name" not in pool().inputs


def test_machines_are_where_the_clusters_are(pool):
    assert pool(cluster_zones=("europe-west4-b",)).inputs["nodeLocations"] == ["europe-west4-b"]


def test_gpus_are_looked_for_in_every_zone_of_the_stack(gpu_pool, site):
    gpus = gpu_pool(cluster_zones=("europe-west4-b",)).inputs

    assert gpus["nodeLocations"] == list(site.zones)
    assert gpus["autoscaling"]["locationPolicy"] == "ANY"


def test_a_pool_may_have_zones_of_its_own(gpu_pool, pool):
    assert gpu_pool(zones=("europe-west4-a",)).inputs["nodeLocations"] == ["europe-west4-a"]
    assert pool(zones=("europe-west4-a",)).inputs["nodeLocations"] == ["europe-west4-a"]


def test_gke_installs_the_driver(gpu_pool):
    accelerator = replace(T4, count=2, driver="latest")

    assert gpu_pool(accelerator=accelerator).inputs["nodeConfig"]["guestAccelerators"] == [
        {
            "type": "nvidia-tesla-t4",
            "count": 2,
            "gpuDriverInstallationConfig": {"gpuDriverVersion": "LATEST"},
        }
    ]


def test_only_pods_that_ask_for_gpus_come_onto_gpu_nodes(gpu_pool, pool):
    assert gpu_pool().inputs["nodeConfig"]["taints"] == [
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}
    ]
    assert "taints" not in pool().inputs["nodeConfig"]


def test_an_upgrade_needs_no_spare_gpu(gpu_pool, pool):
    def surge(inputs):
        settings = inputs["upgradeSettings"]
        return settings["maxSurge"], settings["maxUnavailable"]

    assert surge(gpu_pool().inputs) == (0, 1)
    assert surge(pool().inputs) == (1, 0)
    assert surge(pool(max_surge=3, max_unavailable=2).inputs) == (3, 2)


def test_pods_do_not_get_the_machines_identity(pool):
    node = pool().inputs["nodeConfig"]

    assert node["workloadMetadataConfig"] == {"mode": "GKE_METADATA"}
    assert node["serviceAccount"] == "nodes@proj.iam.gserviceaccount.com"


def test_spot_machines_come_from_wherever_there_are_some(pool):
    spot = pool(spot=True).inputs

    assert spot["nodeConfig"]["spot"] is True
    assert spot["autoscaling"]["locationPolicy"] == "ANY"
    assert pool().inputs["autoscaling"]["locationPolicy"] == "BALANCED"


def test_the_chosen_machine_and_disk_are_taken(pool):
    node = pool(machine_type="e2-highmem-2", disk_type="pd-ssd", disk_gb=33).inputs["nodeConfig"]

    assert (node["machineType"], node["diskType"], node["diskSizeGb"]) == (
        "e2-highmem-2",
        "pd-ssd",
        33,
    )
    assert node["resourceLabels"]["stack"] == "dev"
    assert pool(max_pods_per_node=32).inputs["maxPodsPerNode"] == 32


@pytest.mark.parametrize(
    ("chosen", "key", "why", "cure"),
    [
        ({"type": "nvidia-tesla-p100"}, "type", "RAPIDS dropped it in 24.02", "nvidia-tesla-t4"),
        ({"type": "nvidia-l4"}, "type", "cannot|not a GPU that can be added", "nvidia-tesla-t4"),
        ({"count": 3}, "count", "powers of two", "2"),
        ({"count": 8}, "count", "powers of two", "4"),
        ({"count": 0}, "count", "powers of two", "1"),
    ],
)
def test_gpus_that_do_not_exist_or_do_not_run_rapids_are_refused(chosen, key, why, cure):
    with pytest.raises(Refused, match=why) as refused:
        AcceleratorSettings(**chosen)

    assert (refused.value.key, refused.value.cure) == (key, cure)


def v100(count=1):
    return AcceleratorSettings(type="nvidia-tesla-v100", count=count)


@pytest.mark.parametrize(
    ("chosen", "key", "why", "cure"),
    [
        ({"min_nodes": 3, "max_nodes": 2}, "minNodes", "more than maxNodes, 2", "2"),
        ({"machine_type": "big"}, "machineType", "not a machine type", "e2-standard-4"),
        ({"max_surge": 0, "max_unavailable": 0}, "maxSurge", "not change a single node", "1"),
        ({"accelerator": T4}, "machineType", "N1 machines only", "n1-standard-4"),
        (
            {"accelerator": T4, "machine_type": "n1-standard-5"},
            "machineType",
            "N1 machines only",
            "n1-standard-4",
        ),
        (
            {"accelerator": T4, "machine_type": "n1-highmem-64"},
            "machineType",
            "more CPUs than Google allows beside 1 nvidia-tesla-t4",
            "n1-highmem-32",
        ),
        (
            {"accelerator": v100(), "machine_type": "custom-16-65536"},
            "machineType",
            "more CPUs than Google allows beside 1 nvidia-tesla-v100",
            "n1-standard-8",
        ),
        (
            {"accelerator": T4, "machine_type": "n1-standard-4", "disk_gb": 30},
            "diskGb",
            "training image would fill",
            "100",
        ),
    ],
)
def test_pools_that_cannot_exist_are_refused(chosen, key, why, cure):
    with pytest.raises(Refused, match=why) as refused:
        NodePoolSettings(**chosen)

    assert (refused.value.key, refused.value.cure) == (key, cure)


def test_more_gpus_allow_larger_machines():
    NodePoolSettings(
        machine_type="n1-standard-96", accelerator=AcceleratorSettings(count=4), disk_gb=100
    )
    NodePoolSettings(machine_type="n1-standard-96", accelerator=v100(8))
