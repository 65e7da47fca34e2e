"""API server, controllers and scheduler, each with no more rights than in any cluster."""

from dataclasses import dataclass

from tests.cluster.node import kubeconfig
from tests.cluster.node.certificates import Authority
from tests.cluster.node.layout import API_PORT, DOMAIN, ETCD, KUBERNETES, PODS, SERVICES, Layout

ACCOUNTS = "service-accounts"


@dataclass(frozen=True)
class ControlPlane:
    """Their command lines."""

    layout: Layout
    authority: Authority

    def api_server(self) -> list[str]:
        """Listens on the node's addresses, which exist in the enclosure only."""
        names = ["kubernetes", "kubernetes.default", f"kubernetes.default.svc.{DOMAIN}"]
        serving = self.authority.server(
            "kube-apiserver",
            *names,
            "kubernetes.default.svc",
            "localhost",
            "127.0.0.1",
            KUBERNETES,
            self.layout.address,
        )
        to_kubelet = self.authority.client("kube-apiserver-kubelet-client", "system:masters")
        accounts = self.authority.signing_key(ACCOUNTS)
        return [
            self.layout.binary("kube-apiserver"),
            f"--etcd-servers={ETCD}",
            f"--advertise-address={self.layout.address}",
            f"--secure-port={API_PORT}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={self.authority.certificate}",
            # No API server of somebody else's stands behind this one.
            f"--requestheader-client-ca-file={self.authority.certificate}",
            "--requestheader-allowed-names=nobody",
            f"--kubelet-client-certificate={to_kubelet.certificate}",
            f"--kubelet-client-key={to_kubelet.key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
            f"--service-account-key-file={accounts.certificate}",
            f"--service-account-signing-key-file={accounts.key}",
            f"--service-cluster-ip-range={SERVICES}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
        ]

    def controller_manager(self) -> list[str]:
        """The controllers."""
        return [
            self.layout.binary("kube-controller-manager"),
            *self._client("system:kube-controller-manager"),
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self.authority.signing_key(ACCOUNTS).key}",
            f"--root-ca-file={self.authority.certificate}",
            f"--cluster-cidr={PODS}",
        ]

    def scheduler(self) -> list[str]:
        """The scheduler."""
        return [
            self.layout.binary("kube-scheduler"),
            *self._client("system:kube-scheduler"),
            "--leader-elect=false",
        ]

    def _client(self, user: str) -> list[str]:
        """How it authenticates; it trusts for its own port what it trusts as a client."""
        file = self.layout.certificates / f"{user.rpartition(':')[2]}.kubeconfig"
        client = self.authority.client(user)
        kubeconfig.write(file, self.layout.server, self.authority, client)
        return [f"--{use}kubeconfig={file}" for use in ("", "authentication-", "authorization-")]
