"""Starts a node's programs in their order and stands by them.

`python -m tests.cluster.node.machine FOLDER BINARIES`, inside an enclosure.
"""

import ssl
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.cluster.enclosure import Enclosure
from tests.cluster.images import registry, store
from tests.cluster.inside import mount
from tests.cluster.link import Link
from tests.cluster.node import (
    containerd,
    etcd,
    image_disk,
    images,
    kubeconfig,
    policies,
    storage,
)
from tests.cluster.node.certificates import Authority
from tests.cluster.node.control_plane import ControlPlane
from tests.cluster.node.kubelet import TUNED, Kubelet
from tests.cluster.node.layout import CONTAINERD, DNS, DOMAIN, NAME, PODS, REGISTRY, Layout
from tests.cluster.programs import Ended, Programs

MANIFESTS = [Path(__file__).with_name(name) for name in ("dns.yaml", "storage.yaml")]
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Machine:
    """One machine that becomes a node."""

    layout: Layout
    link: Link
    images: Path
    """What was pushed to a registry of this machine."""

    @cached_property
    def programs(self) -> Programs:
        """All that runs for the node."""
        self.layout.logs.mkdir()
        return Programs(self.layout.logs)

    @cached_property
    def authority(self) -> Authority:
        """Who its programs trust."""
        return Authority(self.layout.certificates)

    def start(self) -> None:
        """From nothing to a node that runs pods, names Services and makes volumes."""
        self.prepare()
        self.programs.start("etcd", etcd.command())
        self.programs.start("containerd", containerd.command())
        serve = registry.command(self.images, REGISTRY, readonly=True)
        self.programs.start("registry", serve)
        with ThreadPoolExecutor() as beside:
            loaded = beside.submit(self.load_images)
            self.start_control_plane()
            kubelet = Kubelet(self.layout, self.authority)
            self.programs.wait(loaded.done)
            loaded.result()
        self.programs.start("kubelet", kubelet.kubelet())
        self.programs.start("kube-proxy", kubelet.proxy())
        for file in MANIFESTS:
            self.kubectl("apply", "--filename", str(file))
        self.programs.start("local-path-provisioner", storage.command(self.layout))
        self.kubectl("wait", "--for=create", f"node/{NAME}", "--timeout=60s")
        self.programs.start("policies", policies.command(self.layout))
        self.programs.wait(self.serves_names)
        self.kubectl("wait", "--for=condition=Ready", f"node/{NAME}", "--timeout=60s")

    def end(self) -> None:
        """Let go of containerd's disk, and leave on it what the next node may find there."""
        self.programs.end("kubelet")
        containerd.clear()
        self.programs.end("containerd")

    def prepare(self) -> None:
        """Make the enclosure look like a machine of its own."""
        while not Path("/sys/class/net/eth0").exists():
            time.sleep(0.01)
        self.link.complete()
        subprocess.run(["hostname", NAME], check=True)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        # Once for all pods: the bridge would call iptables again and again for each of them.
        to_others = f"POSTROUTING --source {PODS} ! --destination {PODS} --jump MASQUERADE"
        subprocess.run(["iptables", "--table=nat", "--append", *to_others.split()], check=True)
        for name, value in TUNED.items():
            # The kubelet reads that it is so, and leaves the kernel as it is.
            file = Path("/run/sys") / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(value)
            mount("--bind", str(file), f"/proc/sys/{name}")

    def start_control_plane(self) -> None:
        """API server first: the others would only complain until it answers."""
        plane = ControlPlane(self.layout, self.authority)
        self.programs.start("kube-apiserver", plane.api_server())
        admin = self.authority.client("admin", "system:masters")
        kubeconfig.write(self.layout.admin, self.layout.server, self.authority, admin)
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        context.load_cert_chain(admin.certificate, admin.key)
        direct = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

        def answers() -> bool:
            try:
                with direct.open(f"{self.layout.server}/readyz", timeout=10) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        self.programs.wait(answers)
        self.programs.start("kube-controller-manager", plane.controller_manager())
        self.programs.start("kube-scheduler", plane.scheduler())

    def load_images(self) -> None:
        """Hand containerd what the node brings itself."""
        self.programs.wait(CONTAINERD.exists)
        file = self.layout.folder / "image.tar"
        containerd.load(images.busybox(file))
        containerd.load(images.coredns(file, self.layout))
        file.unlink()

    def serves_names(self) -> bool:
        """Whether the API server's own Service is known by its name."""
        ask = ["busybox", "nslookup", f"kubernetes.default.svc.{DOMAIN}", DNS]
        return subprocess.run(ask, capture_output=True, check=False).returncode == 0

    def kubectl(self, *arguments: str) -> None:
        """Run kubectl as somebody who may do everything."""
        command = [self.layout.binary("kubectl"), f"--kubeconfig={self.layout.admin}"]
        subprocess.run([*command, *arguments], check=True)


def main(folder: Path, binaries: Path) -> None:
    """Be the node until one of its programs ends, or nobody wants it any more."""
    enclosure = Enclosure(folder)
    link = enclosure.plan.link
    assert link is not None, "a node needs a network of its own"
    with store.shared(store.PUSHED) as pushed, image_disk.mounted(folder):
        machine = Machine(Layout(folder, binaries, link.host, link.node), link, pushed)
        machine.start()
        enclosure.ready.touch()
        while enclosure.ready.exists():
            machine.programs.check()
            time.sleep(POLL_SECONDS)
        machine.end()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except (Ended, subprocess.CalledProcessError) as problem:
        sys.exit(str(problem))
