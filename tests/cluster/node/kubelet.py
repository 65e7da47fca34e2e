"""What runs the pods, and what makes Services answer."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster.node import kubeconfig
from tests.cluster.node.certificates import Authority
from tests.cluster.node.layout import CONTAINERD, DNS, DOMAIN, NAME, PODS, Layout

TUNED = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What the kubelet sets on a machine that is its own. This one is not."""


@dataclass(frozen=True)
class Kubelet:
    """Their command lines and what they read."""

    layout: Layout
    authority: Authority

    def kubelet(self) -> list[str]:
        """The kubelet."""
        resolver = Path("/run/resolv.conf")
        resolver.write_text("")  # nobody outside is asked
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "x509": {"clientCAFile": str(self.authority.certificate)},
            },
            "containerRuntimeEndpoint": f"unix://{CONTAINERD}",
            "resolvConf": str(resolver),
            "clusterDNS": [DNS],
            "clusterDomain": DOMAIN,
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            "maxOpenFiles": 20_000,
            # The disk is this machine's: pods are not evicted for what lies there.
            "evictionHard": {"memory.available": "100Mi"},
            "imageGCHighThresholdPercent": 100,
        }
        file = Path("/run/kubelet.yaml")
        file.write_text(yaml.safe_dump(config))
        return [
            self.layout.binary("kubelet"),
            f"--config={file}",
            f"--kubeconfig={self._client(f'system:node:{NAME}', 'system:nodes')}",
            f"--hostname-override={NAME}",
            f"--node-ip={self.layout.address}",
        ]

    def proxy(self) -> list[str]:
        """The proxy, by rules for iptables that nobody outside the enclosure sees."""
        return [
            self.layout.binary("kube-proxy"),
            f"--kubeconfig={self._client('system:kube-proxy')}",
            f"--hostname-override={NAME}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={PODS}",
            # Belongs to the whole machine.
            "--conntrack-max-per-core=0",
        ]

    def _client(self, user: str, *groups: str) -> Path:
        file = self.layout.certificates / f"{user.replace(':', '-')}.kubeconfig"
        client = self.authority.client(user, *groups)
        return kubeconfig.write(file, self.layout.server, self.authority, client)
