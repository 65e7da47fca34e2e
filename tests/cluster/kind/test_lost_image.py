"""An image that cannot be pulled ends `pulumi up` with that reason, and nothing else ends."""

import copy

import pytest
from mlflow import MlflowClient

from tests.cluster.provider.manifest import Manifest
from tests.local.eventually import eventually

from .stack import Refusal

LOST = f"sha256:{0:064}"
"""The digest of an image that a registry has lost."""


def lost(manifest: Manifest) -> Manifest:
    """The server's image, gone from the registry."""
    if manifest["kind"] != "Deployment":
        return manifest
    changed = copy.deepcopy(manifest)
    (container,) = changed["spec"]["template"]["spec"]["containers"]
    container["image"] = f"{container['image'].partition('@')[0]}@{LOST}"
    return changed


def test_a_lost_image_is_named_and_the_old_pods_go_on(stack):
    before = {pod["metadata"]["uid"] for pod in stack.pods()}

    with stack.edited(lost):
        with pytest.raises(Refusal, match=rf"\[(ErrImagePull|ImagePullBackOff)\] .*{LOST}"):
            stack.up()
        now = stack.pods()
        with stack.tunnel() as uri:
            assert MlflowClient(uri).search_experiments()

    assert before <= {pod["metadata"]["uid"] for pod in now}
    stack.up()
    eventually(lambda: {pod["metadata"]["uid"] for pod in stack.pods()} == before)
