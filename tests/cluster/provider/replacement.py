"""What cannot be changed on an object that exists: the provider's own table."""

from collections.abc import Iterable

from pulumi.runtime.proto import provider_pb2

from tests.engine.cloud.diff import changes
from tests.engine.cloud.naming import AUTO_NAMED

from .manifest import Manifest, annotation

IDENTITY = ("metadata.name", "metadata.namespace")

FIXED = {
    # Not all that the server holds fast, but all for which the provider knows to make a new object.
    ("apps", "DaemonSet"): ("spec.selector",),
    ("apps", "Deployment"): ("spec.selector",),
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    # The server allows these, unless the object says `immutable`. Pods would not notice a change.
    ("", "ConfigMap"): ("binaryData", "data"),
    ("", "Secret"): ("data", "stringData", "type"),
    ("", "PersistentVolumeClaim"): ("spec",),
    ("", "ResourceQuota"): ("spec.scopes",),
    ("", "Service"): ("spec.clusterIP",),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("storage.k8s.io", "StorageClass"): ("parameters", "provisioner"),
}

REPLACE_UNREADY = 'metadata.annotations["pulumi.com/replaceUnready"]'


def difference(
    before: Manifest, after: Manifest, ignored: Iterable[str], *, unready: bool
) -> provider_pb2.DiffResponse:
    """Answer a Diff: what changed, and whether that takes a new object."""
    response = provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_NONE, hasDetailedDiff=True
    )
    fixed = (*IDENTITY, *FIXED.get((_group(after), after["kind"]), ()))
    for path, change in changes(before, after):
        if any(_within(path, each) for each in ignored):
            continue
        response.changes = provider_pb2.DiffResponse.DIFF_SOME
        replaces = any(_within(path, each) for each in fixed)
        # In the enumeration each kind is followed by its replacing twin.
        response.detailedDiff[path].kind = change + replaces
        response.diffs.append(path)
        if replaces:
            response.replaces.append(path)
    if unready:
        response.changes = provider_pb2.DiffResponse.DIFF_SOME
        response.replaces.append(REPLACE_UNREADY)
    # A name that a person chose is taken until the old object is gone.
    response.deleteBeforeReplace = (
        bool(response.replaces)
        and annotation(after, AUTO_NAMED) != "true"
        and all(_same(before, after, key) for key in ("name", "namespace"))
    )
    return response


def _group(manifest: Manifest) -> str:
    group, slash, _ = manifest["apiVersion"].partition("/")
    return group if slash else ""


def _within(path: str, bound: str) -> bool:
    parts, whole = (p.replace("[", ".[").split(".") for p in (path, bound))
    return parts[: len(whole)] == whole


def _same(before: Manifest, after: Manifest, key: str) -> bool:
    return bool(before["metadata"].get(key) == after["metadata"].get(key))
