"""What a machine must have and allow for a node to run on it."""

import os
import shutil
import sys
from pathlib import Path

from tests.cluster.node.containerd import CNI_PROGRAMS

PROGRAMS = {
    "busybox": "busybox-static",
    "containerd": "containerd",
    "docker-registry": "docker-registry",
    "etcd": "etcd-server",
    "ip": "iproute2",
    "iptables": "iptables",
    "runc": "runc",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
"""By name, with the Debian package that has each."""


class CannotRun(Exception):
    """A node cannot run here; the message says why and what to do."""


def check() -> None:
    """Refuse a machine that cannot be a node."""
    if sys.platform != "linux":
        raise CannotRun(f"a node needs Linux, and this is {sys.platform}. {ELSEWHERE}")
    if os.geteuid() != 0:
        raise CannotRun(f"a node needs root for its mounts and networks. {ELSEWHERE}")
    missing = {package for name, package in PROGRAMS.items() if shutil.which(name) is None}
    if not Path(CNI_PROGRAMS, "bridge").exists():
        missing.add("containernetworking-plugins")
    if missing:
        names = " ".join(sorted(missing))
        raise CannotRun(
            f"programs of a node are missing. Type: apt-get install --no-install-recommends {names}"
        )


ELSEWHERE = (
    "Start a cluster in any other way (kind, docker-desktop), type: "
    "export TEST_KUBECONFIG=~/.kube/config, and the tests run there."
)
