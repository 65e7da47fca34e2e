"""What `pulumi destroy` leaves. By its name the last file: the others need the stack."""

import json

import pytest

from tests.local.eventually import eventually

from .stack import Stack


@pytest.fixture
def destroyed(stack: Stack) -> Stack:
    stack.destroy()
    return stack


def test_destroy_leaves_neither_namespace_nor_volume(destroyed):
    ours = {destroyed.serving, destroyed.training}
    names = "jsonpath={.items[*].metadata.name}"
    left = destroyed.cluster.kubectl("get", "namespaces", f"--output={names}").split()

    assert "default" in left, "an empty list proves nothing"
    assert ours.isdisjoint(left)

    def volumes() -> list[str]:
        found = json.loads(destroyed.cluster.kubectl("get", "pv", "--output=json"))["items"]
        claims = [volume["spec"].get("claimRef", {}) for volume in found]
        return [claim["name"] for claim in claims if claim.get("namespace") in ours]

    eventually(lambda: not volumes())  # the provisioner deletes what the claims no longer hold
    assert json.loads(destroyed.state())["deployment"].get("resources", []) == []
