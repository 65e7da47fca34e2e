"""All that is different from what the program renders for GKE, and why.

- Each container of a pod with the SQL proxy: see `tests/cluster/cloud_sql/additions.py`.
- The server: where Cloud Storage is.
- Egress from the server's namespace: this machine, which is all of Google to the pods, with ports
  as they were free.

Whose Google account a pod has, the annotation of its Kubernetes account says, as on GKE.
"""

from platforms.gke import SERVING
from server.pod import SERVER
from tests.cluster.cloud_sql.additions import added
from tests.cluster.provider.manifest import Manifest
from tests.engine.cloud.wire import at

from .data_plane import DataPlane

GOOGLE_ACCOUNT = "iam.gke.io/gcp-service-account"


class Additions:
    """Edits one manifest after the other; a pod's account comes before the pod."""

    def __init__(self, data: DataPlane) -> None:
        self._data = data
        self._emails: dict[tuple[str, str], str] = {}

    def __call__(self, manifest: Manifest) -> Manifest:
        """The manifest with what it needs here."""
        if manifest["kind"] == "ServiceAccount":
            self._remember(manifest)
        if manifest["kind"] == "NetworkPolicy":
            return self._opened(manifest)
        if (pod := at(manifest, "spec.template.spec")) is None:
            return manifest
        namespace = manifest["metadata"]["namespace"]
        pod = added(pod, self._data.sql, self._emails[namespace, pod["serviceAccountName"]])
        for container in pod["containers"]:
            if container["name"] == SERVER:
                # Google's libraries look for Cloud Storage there.
                emulator = {"name": "STORAGE_EMULATOR_HOST", "value": self._data.storage.url}
                container["env"].append(emulator)
        template = {**manifest["spec"]["template"], "spec": pod}
        return {**manifest, "spec": {**manifest["spec"], "template": template}}

    def _opened(self, policy: Manifest) -> Manifest:
        egress, namespace = at(policy, "spec.egress"), policy["metadata"]["namespace"]
        if not egress or namespace != SERVING:
            return policy
        google = {"to": [{"ipBlock": {"cidr": f"{self._data.address}/32"}}]}
        return {**policy, "spec": {**policy["spec"], "egress": [*egress, google]}}

    def _remember(self, account: Manifest) -> None:
        metadata = account["metadata"]
        email = (metadata.get("annotations") or {}).get(GOOGLE_ACCOUNT)
        if email:
            self._emails[metadata["namespace"], metadata["name"]] = email
