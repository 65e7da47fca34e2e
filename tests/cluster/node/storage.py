"""What gives a claim its volume."""

from tests.cluster.node.layout import Layout


def command(layout: Layout) -> list[str]:
    """Run the provisioner; `storage.yaml` says what it needs in the cluster."""
    return [
        layout.binary("local-path-provisioner"),
        "start",
        f"--kubeconfig={layout.admin}",
        "--namespace=kube-system",
        "--helper-image=busybox",
    ]
