"""Where things of a node are: files, addresses, ports. All of it is inside the node's enclosure."""

from dataclasses import dataclass
from pathlib import Path

NAME = "node"
"""What Kubernetes calls it."""

PODS = "10.244.0.0/16"
GATEWAY = "10.244.0.1"
SERVICES = "10.96.0.0/16"
KUBERNETES = "10.96.0.1"
"""The Service `kubernetes`, always the first address of its range."""
DNS = "10.96.0.10"
DOMAIN = "cluster.local"

API_PORT = 6443
ETCD = "http://127.0.0.1:2379"
REGISTRY = "127.0.0.1:5000"
"""What the node takes images from, whatever registry their names say."""

CONTAINERD = Path("/run/containerd/containerd.sock")
CNI_CONFIGURATION = Path("/run/cni")
REGISTRIES = Path("/run/registries")
IMAGES = Path("/var/lib/containerd")
VOLUMES = Path("/var/lib/volumes")


@dataclass(frozen=True)
class Layout:
    """A node's files, and its addresses on the link to this machine."""

    folder: Path
    binaries: Path
    """The folder of the programs that were built."""
    host: str
    """This machine, as pods reach it."""
    address: str
    """The node."""

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.address}:{API_PORT}"

    @property
    def admin(self) -> Path:
        """The kubeconfig of somebody who may do everything."""
        return self.folder / "kubeconfig"

    @property
    def logs(self) -> Path:
        """One file for each of the node's programs."""
        return self.folder / "logs"

    @property
    def certificates(self) -> Path:
        """Certificates, and kubeconfigs of the node's own programs."""
        return self.folder / "certificates"

    def binary(self, name: str) -> str:
        """One of the programs that were built."""
        return str(self.binaries / name)
