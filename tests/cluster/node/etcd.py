"""What the API server keeps its objects in."""

from tests.cluster.node.layout import ETCD


def command() -> list[str]:
    """Run it in memory: nothing of a node outlives it, and nobody waits for a disk."""
    return [
        "etcd",
        "--data-dir=/run/etcd",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--quota-backend-bytes=1073741824",
        "--log-level=warn",
    ]
