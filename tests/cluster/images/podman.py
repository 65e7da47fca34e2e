"""Podman as the daemon that Docker's client talks to, for a machine without Docker's own."""

from dataclasses import dataclass
from pathlib import Path

CONTAINERS = """
[containers]
# To build is to download; a network of its own would leave rules in this machine's firewall.
netns = "host"
default_ulimits = ["nproc=1000:1000", "nofile=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
# Takes less CPU than gzip, here and on the nodes.
compression_format = "zstd"
"""

REGISTRIES = """
[[registry]]
location = "{registry}"
insecure = true
"""


@dataclass(frozen=True)
class Podman:
    """One daemon, with nothing of what this machine has configured."""

    folder: Path
    """Of its enclosure."""
    store: Path
    """Where it keeps what it built."""

    @property
    def socket(self) -> Path:
        """Where Docker's client finds it."""
        return self.folder / "docker.sock"

    def environment(self, registry: str) -> dict[str, str]:
        """Where its settings are; a registry is written into them."""
        containers, registries = self.folder / "containers.conf", self.folder / "registries.conf"
        containers.write_text(CONTAINERS)
        registries.write_text(REGISTRIES.format(registry=registry))
        return {
            "CONTAINERS_CONF": str(containers),
            "CONTAINERS_REGISTRIES_CONF": str(registries),
        }

    def command(self) -> list[str]:
        """Serve until it is ended."""
        places = [f"--root={self.store}", "--runroot=/run/podman", "--storage-driver=overlay"]
        return ["podman", *places, "system", "service", "--time=0", f"unix://{self.socket}"]
