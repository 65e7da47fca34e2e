"""What a server or a migration finds when it opens a database or a bucket in its own cluster."""

import re
from collections.abc import Iterator

from ..refusal import RefusedError
from ..thing import Thing
from ..wire import Inputs, at
from ..world import Visit, World
from .pod import Pod

SERVICE = "kubernetes:core/v1:Service"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"

HOST = r"(?P<name>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc\.cluster\.local:(?P<port>\d+)"
DATABASE_URL = re.compile(rf"postgresql[^:]*://(?P<user>[^:@]+):(?P<password>[^@]*)@{HOST}/\w+")
ENDPOINT = re.compile(rf"http://{HOST}")

RUNTIME_ROLE = "MIGRATION_RUNTIME_ROLE"


def database(visit: Visit, pod: Pod) -> Iterator[str]:
    """Log in with the password that the database's own Secret has for the role."""
    for url in filter(None, map(DATABASE_URL.fullmatch, pod.texts())):
        stateful = yield from _behind(visit, url)
        if stateful is None:
            continue
        secret = _secrets(visit.world, stateful)
        if secret.get(url["user"]) != url["password"]:
            yield f'FATAL: password authentication failed for user "{url["user"]}"'
        if visit.inputs["kind"] == "Job":
            yield from _runtime_role(pod, secret)
        elif job := visit.world.migrated.get(stateful.id):
            visit.note_urn(job)
        else:
            yield f"the schema in {stateful.id} is out of date; run mlflow db upgrade"


def objects(visit: Visit, pod: Pod) -> Iterator[str]:
    """Be somebody whom the store knows."""
    texts = pod.texts()
    for endpoint in filter(None, map(ENDPOINT.fullmatch, texts)):
        stateful = yield from _behind(visit, endpoint)
        if stateful is None:
            continue
        known = "".join(_secrets(visit.world, stateful).values())
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            if pod.variables().get(name, name) not in known:
                yield f"403 Forbidden: {stateful.id} does not know this {name}"


def migrated(world: World, job: Thing) -> Iterator[str]:
    """Ids of the databases in the cluster that a migration has brought up to date."""
    for url in filter(None, map(DATABASE_URL.fullmatch, Pod(world, job.inputs).texts())):
        for stateful in world.of(STATEFUL_SET):
            if stateful.id == f"{url['namespace']}/{url['name']}":
                yield stateful.id


def release_claim(world: World, claim: Thing) -> None:
    """Keep what a pod still mounts, as the cluster's own finalizer does."""
    for stateful in world.of(STATEFUL_SET):
        pod = Pod(world, stateful.inputs)
        if f"{pod.namespace}/{claim.outputs['metadata']['name']}" in {
            f"{pod.namespace}/{name}" for name in pod.claims
        }:
            raise RefusedError(f"{claim.id} is in use by {stateful.id} (pvc-protection)")


def _behind(visit: Visit, address: re.Match[str]) -> Iterator[str]:  # type: ignore[misc]
    service = visit.world.things.get((SERVICE, f"{address['namespace']}/{address['name']}"))
    if service is None or not service.usable:
        yield f'could not translate host name "{address["name"]}" to address'
        return None
    visit.note(service)
    ports = {str(int(port["port"])) for port in service.inputs["spec"]["ports"]}
    for stateful in visit.world.of(STATEFUL_SET):
        if stateful.usable and address["port"] in ports and _selects(service, stateful):
            visit.note(stateful)
            return stateful
    yield f"connection to {address['name']}:{address['port']} refused"
    return None


def _selects(service: Thing, stateful: Thing) -> bool:
    labels: Inputs = at(stateful.inputs, "spec.template.metadata.labels") or {}
    same_place = at(service.inputs, "metadata.namespace") == at(
        stateful.inputs, "metadata.namespace"
    )
    return same_place and service.inputs["spec"]["selector"].items() <= labels.items()


def _secrets(world: World, stateful: Thing) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, _, holder in Pod(world, stateful.inputs).holders():
        if kind == "secret" and holder:
            found |= holder.inputs.get("stringData") or {}
    return found


def _runtime_role(pod: Pod, secret: dict[str, str]) -> Iterator[str]:
    role = pod.variables().get(RUNTIME_ROLE)
    if role and role not in secret:
        yield f'role "{role}" does not exist'
