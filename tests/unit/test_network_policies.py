"""Who may talk to whom, judged as a network would judge it."""

import ipaddress

import pytest

from components.network_policies import (
    DNS,
    HTTPS,
    METADATA,
    Listener,
    NetworkPolicies,
    NetworkPoliciesArgs,
    cloud_sql,
    pods,
)
from components.tracking_server import pod_labels
from tests.unit.manifests import invalid

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
SERVER = pod_labels("mlflow-tracking")


def policies():
    server = NetworkPoliciesArgs(
        namespace="mlflow",
        egress=[DNS, HTTPS, METADATA, cloud_sql("10.12.0.0/20")],
        listeners=[Listener(labels=SERVER, port=5000, callers=["mlflow", "training"])],
    )
    training = NetworkPoliciesArgs(
        namespace="training", egress=[DNS, HTTPS, METADATA, pods("mlflow", SERVER, 5000)]
    )
    return NetworkPolicies("mlflow", server), NetworkPolicies("training", training)


@pytest.fixture(scope="module")
def record(deploy):
    return deploy(policies)


def rules(record, namespace, way):
    specs = [
        r.inputs["spec"]
        for r in record.all(POLICY)
        if r.inputs["metadata"]["namespace"] == namespace
    ]
    return [rule for spec in specs for rule in spec.get(way, [])]


def reaches(record, namespace, address, port):
    """Whether a pod of the namespace may connect to an address outside of the cluster."""
    target = ipaddress.ip_address(address)
    return any(
        target in ipaddress.ip_network(block["cidr"])
        and not any(target in ipaddress.ip_network(hole) for hole in block.get("except", []))
        for rule in rules(record, namespace, "egress")
        if port in [p["port"] for p in rule["ports"]]
        for block in (peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer)
    )


def test_kubernetes_knows_every_key_of_every_policy(record):
    assert invalid(record) == {}


@pytest.mark.parametrize("namespace", ["mlflow", "training"])
def test_what_is_not_named_is_refused_in_both_directions(record, namespace):
    closed = [
        r.inputs["spec"]
        for r in record.all(POLICY)
        if r.inputs["metadata"]["namespace"] == namespace and r.name.endswith("closed")
    ]

    assert closed == [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}]


@pytest.mark.parametrize(
    ("namespace", "address", "port", "allowed"),
    [
        ("mlflow", "142.250.1.95", 443, True),  # storage.googleapis.com
        ("mlflow", "10.12.0.3", 3307, True),  # Cloud SQL
        ("mlflow", "10.12.0.3", 5432, False),  # past the proxy
        ("mlflow", "10.64.3.4", 443, False),  # a neighbour
        ("mlflow", "10.11.0.1", 443, False),  # the Kubernetes API
        ("mlflow", "169.254.169.254", 80, True),  # metadata
        ("mlflow", "169.254.169.254", 443, False),
        ("mlflow", "142.250.1.95", 80, False),
        ("training", "151.101.0.223", 443, True),  # a package registry
        ("training", "10.12.0.3", 3307, False),  # the database is the server's
        ("training", "169.254.169.254", 80, True),
    ],
)
def test_pods_reach_what_they_need_and_nothing_beside_it(record, namespace, address, port, allowed):
    assert reaches(record, namespace, address, port) is allowed


def test_the_server_is_called_from_training_and_from_beside_it_on_one_port(record):
    (rule,) = rules(record, "mlflow", "ingress")

    callers = [p["namespaceSelector"]["matchLabels"] for p in rule["from"]]
    assert [c["kubernetes.io/metadata.name"] for c in callers] == ["mlflow", "training"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 5000}]


def test_nobody_calls_a_training_job(record):
    assert rules(record, "training", "ingress") == []


def test_training_calls_the_server_and_no_other_pod_beside_it(record):
    (peer,) = (
        peer
        for rule in rules(record, "training", "egress")
        if rule["ports"] == [{"protocol": "TCP", "port": 5000}]
        for peer in rule["to"]
    )

    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "mlflow"}
    assert peer["podSelector"]["matchLabels"] == SERVER
