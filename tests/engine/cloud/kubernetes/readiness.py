"""What keeps pods from running; everything that lets them run is noted as truly needed."""

from collections.abc import Iterator

from ..gcp import artifactregistry, container, iam
from ..grants import granted
from ..wire import at
from ..world import Visit, built
from . import neighbours, stores
from .pod import CLAIM, Pod
from .pod_security import violations


def can_run(visit: Visit) -> list[str]:
    """Say why the pods of a workload do not run, or do not answer."""
    pod = Pod(visit.world, visit.inputs)
    return [
        *violations(visit, pod),
        *_nodes(visit),
        *_mounts(visit, pod),
        *_images(visit, pod),
        *_identity(visit, pod),
        *stores.database(visit, pod),
        *stores.bucket(visit, pod),
        *_claims(visit, pod),
        *neighbours.database(visit, pod),
        *neighbours.objects(visit, pod),
    ]


def _nodes(visit: Visit) -> Iterator[str]:
    if visit.world.contexts:
        return  # somebody else's nodes, which are there already
    pools = [
        pool
        for pool in visit.world.of(container.NODE_POOL)
        if pool.usable and not at(pool.inputs, "nodeConfig.guestAccelerators")
    ]
    if pools:
        visit.note(pools[0])
    else:
        yield "0/0 nodes are available: no node pool without GPUs. preemption: not helpful"


def _mounts(visit: Visit, pod: Pod) -> Iterator[str]:
    for kind, name, holder in pod.holders():
        if holder:
            visit.note(holder)
        else:
            yield f'{kind} "{name}" not found'


def _claims(visit: Visit, pod: Pod) -> Iterator[str]:
    for name in pod.claims:
        claim = visit.world.things.get((CLAIM, f"{pod.namespace}/{name}"))
        if claim and claim.usable:
            visit.note(claim)
        else:
            yield f'persistentvolumeclaim "{name}" not found'


def _images(visit: Visit, pod: Pod) -> Iterator[str]:
    """Nodes pull as their own account, which needs to read the repository."""
    pools = [p for p in visit.world.of(container.NODE_POOL) if p.usable]
    emails = {str(at(p.inputs, "nodeConfig.serviceAccount")) for p in pools}
    for image in pod.images:
        if image.startswith("localhost/"):
            if image in visit.world.node_images:
                visit.note_urn(built(image))
            else:
                yield f'Back-off pulling image "{image}": dial tcp 127.0.0.1:443: refused'
            continue
        if f"/{visit.world.project}/" not in image:
            continue
        name, _, digest = image.partition("@")
        if digest in visit.world.images.get(name, {}).values():
            visit.note_urn(built(image))
        else:
            yield f'Back-off pulling image "{image}": not found'
        for email in emails:
            role = "roles/artifactregistry.reader"
            yield from granted(visit, artifactregistry.REPOSITORY_MEMBER, role, email)


def _identity(visit: Visit, pod: Pod) -> Iterator[str]:
    if pod.account is None:
        if pod.account_name != "default":
            yield f'serviceaccount "{pod.account_name}" not found'
        return
    visit.note(pod.account)
    if pod.email is None:
        return
    workload = f"{pod.namespace}/{pod.account_name}"
    bindings = [
        binding
        for binding in visit.world.of(iam.ACCOUNT_MEMBER)
        if binding.usable
        and binding.inputs["member"].endswith(f".svc.id.goog[{workload}]")
        and binding.inputs["role"] == "roles/iam.workloadIdentityUser"
        and pod.email in str(binding.inputs["serviceAccountId"])
    ]
    visit.note(*bindings)
    if not bindings:
        yield f"403 iam.serviceAccounts.getAccessToken denied: {workload} is not {pod.email}"
