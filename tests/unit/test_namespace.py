"""Namespaces and the pods they accept."""

from components.namespace import Namespace, NamespaceArgs
from tests.unit.manifests import invalid

NAMESPACE = "kubernetes:core/v1:Namespace"


def test_only_hardened_pods_run_in_a_namespace_of_the_given_name(deploy):
    record = deploy(lambda: Namespace("training", NamespaceArgs(name="training")))

    metadata = record.one(NAMESPACE).inputs["metadata"]
    assert metadata["name"] == "training"
    assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert invalid(record) == {}
