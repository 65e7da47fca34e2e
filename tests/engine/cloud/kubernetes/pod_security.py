"""The restricted Pod Security Standard, as a namespace's label makes the API server apply it."""

from collections.abc import Iterator

from ..wire import Inputs, at
from ..world import Visit
from .pod import Pod

ENFORCE = "pod-security.kubernetes.io/enforce"
VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"}
    | {"projected", "secret"}
)


def violations(visit: Visit, pod: Pod) -> Iterator[str]:
    """Say why the API server does not create the pods."""
    namespace = visit.world.find("kubernetes:core/v1:Namespace", pod.namespace)
    labels = namespace.inputs["metadata"].get("labels") if namespace else None
    if (labels or {}).get(ENFORCE) != "restricted":
        return
    found = [*_pod(pod.spec), *[v for c in pod.all_containers for v in _container(pod.spec, c)]]
    if found:
        yield f'violates PodSecurity "restricted:latest": {", ".join(found)}'


def _pod(spec: Inputs) -> Iterator[str]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"{key}=true"
    for volume in spec.get("volumes", []):
        kinds = volume.keys() - {"name"}
        if not kinds <= VOLUMES:
            yield f"volume {volume['name']} of type {', '.join(kinds)}"


def _container(spec: Inputs, container: Inputs) -> Iterator[str]:
    own = container.get("securityContext") or {}
    both = {**(spec.get("securityContext") or {}), **own}
    name = container["name"]
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"allowPrivilegeEscalation != false ({name})"
    if "ALL" not in (at(own, "capabilities.drop") or []):
        yield f"unrestricted capabilities ({name})"
    if own.get("privileged"):
        yield f"privileged ({name})"
    if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
        yield f"runAsNonRoot != true ({name})"
    if at(both, "seccompProfile.type") not in ("RuntimeDefault", "Localhost"):
        yield f"seccompProfile ({name})"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield f"hostPort ({name})"
