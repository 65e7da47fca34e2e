"""What makes NetworkPolicies hold: the CNI bridge knows nothing of them."""

from tests.cluster.node.layout import NAME, SERVICES, Layout


def command(layout: Layout) -> list[str]:
    """Run kube-router for its firewall alone."""
    return [
        layout.binary("kube-router"),
        f"--kubeconfig={layout.admin}",
        f"--hostname-override={NAME}",
        f"--service-cluster-ip-range={SERVICES}",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        "--enable-cni=false",
        "--health-port=0",
    ]
