import json
from dataclasses import replace
from datetime import datetime

import pulumi
import pytest
from pulumi import Output

from components.cluster import (
    Cluster,
    ClusterArgs,
    ClusterSettings,
    MaintenanceSettings,
    NodeAutoProvisioningSettings,
)
from settings import Refused

CLUSTER = "gcp:container/cluster:Cluster"
PROVIDER = "pulumi:providers:kubernetes"
ENDPOINT = "gke-123.europe-west4.gke.goog"


@pytest.fixture
def cluster(site, apis):
    def build(*, protect=False, **chosen):
        return Cluster(
            "mlflow-dev",
            ClusterArgs(
                site=replace(site, protect=protect),
                apis=apis(),
                settings=ClusterSettings(**chosen),
                network="projects/proj/global/networks/n",
                subnetwork="projects/proj/regions/europe-west4/subnetworks/s",
                account=Output.from_input("nodes@proj.iam.gserviceaccount.com"),
            ),
        )

    return build


@pytest.fixture
def inputs(deploy, cluster):
    return lambda **chosen: deploy(lambda: cluster(**chosen)).one(CLUSTER).inputs


def test_a_zonal_cluster_is_in_the_first_zone(inputs):
    assert inputs(location="zonal")["location"] == "europe-west4-b"
    assert "nodeLocations" not in inputs(location="zonal")


def test_a_regional_cluster_is_in_every_zone_of_the_stack(inputs, site):
    assert inputs(location="regional")["location"] == "europe-west4"
    assert inputs(location="regional")["nodeLocations"] == list(site.zones)


def test_machines_have_no_public_address_and_the_control_plane_is_called_by_name_only(inputs):
    private = inputs()

    assert private["privateClusterConfig"] == {
        "enablePrivateNodes": True,
        "enablePrivateEndpoint": True,
    }
    assert private["controlPlaneEndpointsConfig"]["ipEndpointsConfig"] == {"enabled": False}
    assert private["controlPlaneEndpointsConfig"]["dnsEndpointConfig"]["allowExternalTraffic"]
    assert "masterAuthorizedNetworksConfig" not in private


def test_named_networks_may_call_the_control_plane_by_address_too(inputs):
    opened = inputs(authorized_networks=("203.0.113.0/24",))

    assert opened["privateClusterConfig"]["enablePrivateNodes"] is True
    assert opened["privateClusterConfig"]["enablePrivateEndpoint"] is False
    assert opened["controlPlaneEndpointsConfig"]["ipEndpointsConfig"] == {"enabled": True}
    allowed = opened["masterAuthorizedNetworksConfig"]
    assert allowed["cidrBlocks"] == [{"cidrBlock": "203.0.113.0/24"}]
    assert allowed["gcpPublicCidrsAccessEnabled"] is False


def test_pods_have_identities_and_networks_are_policed(inputs):
    made = inputs()

    assert made["workloadIdentityConfig"] == {"workloadPool": "proj.svc.id.goog"}
    assert made["datapathProvider"] == "ADVANCED_DATAPATH"
    assert made["enableShieldedNodes"] is True
    defaults = made["nodePoolDefaults"]["nodeConfigDefaults"]
    assert defaults["insecureKubeletReadonlyPortEnabled"] == "FALSE"


def test_gateways_prometheus_and_costs_are_googles(inputs):
    made = inputs(logs=("SYSTEM_COMPONENTS",), metrics=("SYSTEM_COMPONENTS", "DCGM"))

    assert made["gatewayApiConfig"] == {"channel": "CHANNEL_STANDARD"}
    assert made["monitoringConfig"]["managedPrometheus"] == {"enabled": True}
    assert made["monitoringConfig"]["enableComponents"] == ["SYSTEM_COMPONENTS", "DCGM"]
    assert made["loggingConfig"]["enableComponents"] == ["SYSTEM_COMPONENTS"]
    assert made["costManagementConfig"] == {"enabled": True}


def test_the_pool_that_gke_insists_on_is_small_and_not_the_default_account(inputs):
    made = inputs()

    assert made["removeDefaultNodePool"] is True
    assert made["initialNodeCount"] == 1
    assert made["nodeConfig"]["serviceAccount"] == "nodes@proj.iam.gserviceaccount.com"
    assert made["nodeConfig"]["diskType"] == "pd-standard"
    assert made["nodeConfig"]["diskSizeGb"] == 20


def test_that_pool_being_gone_does_not_replace_the_cluster(deploy, cluster):
    assert list(deploy(cluster).one(CLUSTER).options.ignoreChanges) == ["nodeConfig"]


def test_upgrades_come_in_the_window(inputs):
    maintenance = MaintenanceSettings(days=("FR", "SA"), hour=22, hours=6)
    window = inputs(maintenance=maintenance)["maintenancePolicy"]["recurringWindow"]
    start, end = (datetime.fromisoformat(window[key]) for key in ("startTime", "endTime"))

    assert window["recurrence"] == "FREQ=WEEKLY;BYDAY=FR,SA"
    assert (start.hour, start.utcoffset().total_seconds()) == (22, 0)
    assert (end - start).total_seconds() == 6 * 3600


def test_gke_adds_no_pools_of_its_own_unless_it_may(inputs):
    assert inputs()["clusterAutoscaling"] == {"enabled": False, "autoscalingProfile": "BALANCED"}


def test_pools_that_gke_adds_are_limited_and_run_as_our_account(inputs, site):
    limits = NodeAutoProvisioningSettings(
        max_cpus=64, max_memory_gb=256, max_accelerators={"nvidia-tesla-t4": 4}
    )
    made = inputs(node_auto_provisioning=limits, autoscaling="optimize-utilization")
    scaling = made["clusterAutoscaling"]
    defaults = scaling["autoProvisioningDefaults"]

    assert scaling["enabled"] is True
    assert scaling["autoscalingProfile"] == "OPTIMIZE_UTILIZATION"
    assert {r["resourceType"]: r["maximum"] for r in scaling["resourceLimits"]} == {
        "cpu": 64,
        "memory": 256,
        "nvidia-tesla-t4": 4,
    }
    assert scaling["autoProvisioningLocations"] == list(site.zones)
    assert defaults["serviceAccount"] == "nodes@proj.iam.gserviceaccount.com"
    assert defaults["management"] == {"autoRepair": True, "autoUpgrade": True}
    kubelet = made["nodePoolAutoConfig"]["nodeKubeletConfig"]
    assert kubelet == {"insecureKubeletReadonlyPortEnabled": "FALSE"}


def test_kubernetes_is_reached_by_name_with_a_fresh_token(deploy, cluster):
    provider = deploy(cluster).one(PROVIDER).inputs
    config = json.loads(provider["kubeconfig"])
    (server,) = (c["cluster"] for c in config["clusters"])
    (user,) = (u["user"] for u in config["users"])

    # With an authority of its own, the public certificate of that name would not be trusted.
    assert server == {"server": f"https://{ENDPOINT}"}
    assert user["exec"]["command"] == "gke-gcloud-auth-plugin"
    assert "token" not in user


def test_another_cluster_of_the_same_name_gets_its_objects_anew(deploy, cluster):
    assert deploy(cluster).one(PROVIDER).inputs["clusterIdentifier"] == ENDPOINT


def test_a_cluster_makes_room_for_its_replacement(deploy, cluster):
    made = deploy(cluster).one(CLUSTER)

    assert made.inputs["name"] == "mlflow-dev"
    assert made.options.deleteBeforeReplace is True


@pytest.mark.parametrize("protect", [True, False])
def test_protection_arms_pulumi_and_the_provider(deploy, cluster, protect):
    made = deploy(lambda: cluster(protect=protect)).one(CLUSTER)

    assert made.inputs["deletionProtection"] is protect
    assert made.options.protect is protect


def test_what_to_type_for_kubectl(deploy, cluster):
    def build():
        pulumi.export("command", cluster().credentials_command)

    assert deploy(build).outputs["command"] == (
        "gcloud container clusters get-credentials mlflow-dev --location europe-west4-b"
        " --project proj --dns-endpoint"
    )


def test_the_identity_pool_is_named_only_when_it_exists(deploy, cluster, taker):
    record = deploy(lambda: taker("grant", cluster().workload_pool))

    assert record.waits_for(record.one(taker.type), record.one(CLUSTER))


@pytest.mark.parametrize(
    ("chosen", "key", "why"),
    [
        ({"authorized_networks": ("0.0.0.0/0",)}, "authorizedNetworks[0]", "whole internet"),
        ({"authorized_networks": ("1.2.3.0/24", "me")}, "authorizedNetworks[1]", "not an IPv4"),
        ({"authorized_networks": ("1.2.3.4",)}, "authorizedNetworks[0]", "not how Google writes"),
        ({"logs": ("WORKLOADS",)}, "logs", "nothing without SYSTEM_COMPONENTS"),
        ({"metrics": ("DCGM",)}, "metrics", "nothing without SYSTEM_COMPONENTS"),
    ],
)
def test_clusters_that_cannot_exist_are_refused(chosen, key, why):
    with pytest.raises(Refused, match=why) as refused:
        ClusterSettings(**chosen)

    assert refused.value.key == key


@pytest.mark.parametrize(
    ("days", "hours", "cure"), [(("SU",), 8, "12"), (("SA", "SU"), 4, "6"), (("MO",), 11, "12")]
)
def test_a_window_in_which_google_could_never_upgrade_is_refused(days, hours, cure):
    with pytest.raises(Refused, match="hours in four weeks") as refused:
        MaintenanceSettings(days=days, hours=hours)

    assert (refused.value.key, refused.value.cure) == ("hours", cure)
    MaintenanceSettings(days=days, hours=int(cure))


def test_google_runs_rays_operator_only_where_the_stack_says_so(inputs):
    assert "addonsConfig" not in inputs()
    (operator,) = inputs(ray_operator=True)["addonsConfig"]["rayOperatorConfigs"]
    assert operator == {
        "enabled": True,
        "rayClusterLoggingConfig": {"enabled": True},
        "rayClusterMonitoringConfig": {"enabled": True},
    }
