"""What runs the pods' containers, and the images that it takes."""

import json
import subprocess
import time
from pathlib import Path

from tests.cluster.node.layout import (
    CNI_CONFIGURATION,
    CONTAINERD,
    GATEWAY,
    IMAGES,
    PODS,
    REGISTRIES,
    REGISTRY,
)

CNI_PROGRAMS = "/usr/lib/cni"
"""Where Debian puts them."""

POLL_SECONDS = 0.1

CONFIGURATION = f"""
version = 2
root = "{IMAGES}"
state = "/run/containerd"
[grpc]
address = "{CONTAINERD}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/library/busybox:latest"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PROGRAMS}"
conf_dir = "{CNI_CONFIGURATION}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{REGISTRIES}"
"""

MIRROR = f"""
server = "http://{REGISTRY}"
[host."http://{REGISTRY}"]
capabilities = ["pull", "resolve"]
"""
"""For every registry there is: an image keeps the name that it has in production."""

BRIDGE = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "pods",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": PODS, "gateway": GATEWAY}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
    ],
}
"""Without `ipMasq`, for which `machine.py` has one rule, and without ports of the node for pods."""


def command() -> list[str]:
    """Run it, with nothing of what this machine has configured."""
    file = Path("/run/containerd.toml")
    file.write_text(CONFIGURATION)
    CNI_CONFIGURATION.mkdir()
    (CNI_CONFIGURATION / "10-pods.conflist").write_text(json.dumps(BRIDGE))
    mirror = REGISTRIES / "_default" / "hosts.toml"
    mirror.parent.mkdir(parents=True)
    mirror.write_text(MIRROR)
    return ["containerd", f"--config={file}", "--log-level=warn"]


def load(archive: Path) -> None:
    """Take an image from a file; it is there afterwards."""
    ctr("images", "import", str(archive))


def clear() -> None:
    """Leave nothing but images, and those without their tags, which may mean others by now."""
    while tasks := ctr("tasks", "list", "--quiet"):
        ctr("tasks", "delete", "--force", *tasks, check=False)  # who is told of it, does so too
        time.sleep(POLL_SECONDS)
    if containers := ctr("containers", "list", "--quiet"):
        ctr("containers", "delete", *containers)
    if tags := [name for name in ctr("images", "list", "--quiet") if "sha256:" not in name]:
        ctr("images", "delete", *tags)


def ctr(*arguments: str, check: bool = True) -> list[str]:
    """Ask containerd for something about what Kubernetes has there."""
    command = ["ctr", f"--address={CONTAINERD}", "--namespace=k8s.io"]
    ended = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, text=True, check=check)
    return ended.stdout.split()
