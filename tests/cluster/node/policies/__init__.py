"""What makes NetworkPolicies hold: the CNI bridge knows nothing of them."""

from tests.cluster.node.layout import NAME, SERVICES, Layout


def command(layout: Layout) -> list[str]:
    """Run the firewall of `main.go`."""
    return [
        layout.binary("policies"),
        f"--kubeconfig={layout.admin}",
        f"--node={NAME}",
        f"--services={SERVICES}",
    ]
