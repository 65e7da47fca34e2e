"""What a machine must have and allow for our enclosures, and what is to run in them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.node.containerd import CNI_PROGRAMS

ENCLOSURE = {
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
"""Programs by name, with the Debian package that has each."""

NODE = {
    "busybox": "busybox-static",
    "containerd": "containerd",
    f"{CNI_PROGRAMS}/bridge": "containernetworking-plugins",
    "docker-registry": "docker-registry",
    "etcd": "etcd-server",
    "ipset": "ipset",
    "iptables": "iptables",
    "runc": "runc",
}
IMAGES = {
    "debootstrap": "debootstrap",
    "docker": "docker.io",
    "docker-registry": "docker-registry",
    "podman": "podman",
    "runc": "runc",
}

ELSEWHERE = (
    "Start a cluster in any other way (kind, docker-desktop), type: "
    "export TEST_KUBECONFIG=$HOME/.kube/config, and the tests run there."
)


class CannotRun(Exception):
    """It cannot run here; the message says why and what to do."""


def check(programs: Mapping[str, str]) -> None:
    """Refuse a machine that has not these programs, or may not run them."""
    if sys.platform != "linux":
        raise CannotRun(f"this needs Linux, and here is {sys.platform}. {ELSEWHERE}")
    if os.geteuid() != 0:
        raise CannotRun(f"this needs root, for mounts and networks. {ELSEWHERE}")
    wanted = ENCLOSURE | dict(programs)
    missing = {package for name, package in wanted.items() if shutil.which(name) is None}
    if missing:
        install = "apt-get install --no-install-recommends"
        raise CannotRun(f"programs are missing. Type: {install} {' '.join(sorted(missing))}")
    if not Path("/dev/loop-control").exists():
        raise CannotRun(f"no file can be mounted as a disk (/dev/loop-control). {ELSEWHERE}")
    trial = ["unshare", "--mount", "--net", "--pid", "--fork", "mount", "--make-rprivate", "/"]
    if subprocess.run(trial, capture_output=True, check=False).returncode:
        raise CannotRun(
            f"this root may make no mounts and networks, as in a container. {ELSEWHERE}"
        )
    if not os.access("/sys/fs/cgroup", os.W_OK) or not Path("/proc/cgroups").exists():
        raise CannotRun(f"the control groups of this machine cannot be written. {ELSEWHERE}")


@contextmanager
def checked(programs: Mapping[str, str]) -> Iterator[None]:
    """The same, as a context."""
    check(programs)
    yield
