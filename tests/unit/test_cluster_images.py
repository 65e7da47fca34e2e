"""Names, content and builders of the images on any cluster."""

import pytest

from components.cluster_images import ClusterImages, ClusterImagesArgs, ClusterImagesSettings

IMAGE = "pulumi-python:dynamic/images:Image"


def images(cluster="mlflow", **chosen):
    settings = ClusterImagesSettings(**chosen)
    return ClusterImages("mlflow", ClusterImagesArgs(settings=settings, cluster=cluster))


def build(record, part="tracking"):
    return record.one(IMAGE, f"mlflow-{part}").inputs


def test_with_a_registry_docker_builds_for_its_nodes_under_its_name(deploy):
    record = deploy(lambda: images(registry="localhost:5001/mlflow"))

    assert build(record)["image"] == "localhost:5001/mlflow/mlflow-tracking"
    assert build(record, "training")["image"] == "localhost:5001/mlflow/mlflow-training"
    assert build(record)["architecture"] == "amd64"
    assert "builder" not in build(record)


def test_an_image_for_another_cpu_is_another_image(deploy):
    def tag(**chosen):
        return build(deploy(lambda: images(registry="r.example.com", **chosen)))["tag"]

    assert tag(architecture="arm64") != tag()


@pytest.mark.parametrize("tool", ["docker-desktop", "kind", "microk8s", "minikube"])
def test_without_a_registry_a_tool_hands_them_to_its_cluster(deploy, tool):
    record = deploy(lambda: images(load=tool))

    assert build(record)["builder"] == {"tool": tool, "cluster": "mlflow"}
    assert "architecture" not in build(record)  # this machine's own


def test_an_image_that_no_registry_has_is_not_looked_for_on_the_internet(deploy):
    record = deploy(lambda: images(load="kind"))

    assert build(record)["image"] == "localhost/mlflow-tracking"


def test_training_in_any_cluster_leaves_rapids_out(deploy):
    record = deploy(lambda: images(load="kind"))

    assert build(record, "training")["arguments"] == {"REQUIREMENTS": "requirements.txt"}


def test_another_base_image_is_another_image(deploy):
    def tracking(**chosen):
        return build(deploy(lambda: images(load="kind", **chosen)))

    assert tracking(tracking_base="mirror/python")["arguments"] == {"BASE": "mirror/python"}
    assert tracking(tracking_base="mirror/python")["tag"] != tracking()["tag"]
