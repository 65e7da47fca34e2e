"""What a server or a migration finds when it opens its database and its bucket."""

import re
from collections.abc import Iterator
from urllib.parse import unquote

from ..gcp import iam, sql, storage
from ..grants import granted
from ..thing import Thing
from ..world import Visit
from .pod import Pod

DATABASE_URL = re.compile(
    r"postgresql[^:]*://(?P<user>[^:@]+)(:(?P<password>[^@]*))?@[^/]*/(?P<database>[^?]+).*"
)
RUNTIME_ROLE = "MIGRATION_RUNTIME_ROLE"


def database(visit: Visit, pod: Pod) -> Iterator[str]:
    """The proxy connects as the pod's Google account, the program logs in as a user."""
    texts = pod.texts()
    for instance in pod.instances():
        visit.note(instance)
        yield from granted(visit, iam.PROJECT_MEMBER, "roles/cloudsql.client", pod.email)
        if any(text.startswith("--auto-iam-authn") for text in texts):
            role = "roles/cloudsql.instanceUser"
            yield from granted(visit, iam.PROJECT_MEMBER, role, pod.email)
        for url in filter(None, map(DATABASE_URL.fullmatch, texts)):
            yield from _login(visit, instance, url)
        if visit.inputs["kind"] == "Job":
            yield from _runtime_role(visit, instance, pod)
        elif job := visit.world.migrated.get(instance.id):
            visit.note_urn(job)
        else:
            yield f"the schema in {instance.id} is out of date; run mlflow db upgrade"


def bucket(visit: Visit, pod: Pod) -> Iterator[str]:
    """Without a right on the bucket the server goes on as nobody, and artifacts answer 401."""
    for text in pod.texts():
        if not text.startswith("gs://"):
            continue
        bucket = visit.world.find(storage.BUCKET, text.removeprefix("gs://").split("/")[0])
        if bucket:
            visit.note(bucket)
            yield from granted(visit, storage.BUCKET_MEMBER, "roles/storage.object", pod.email)
        else:
            yield f"404 {text}: the specified bucket does not exist"


def _login(visit: Visit, instance: Thing, url: re.Match[str]) -> Iterator[str]:
    name, password = unquote(url["user"]), unquote(url["password"] or "")
    user, database = (
        _on(visit, sql.USER, instance, name),
        _on(visit, sql.DATABASE, instance, url["database"]),
    )
    visit.note(*filter(None, (user, database)))
    if user is None:
        yield f'FATAL: role "{name}" does not exist'
    elif password != user.inputs.get("password", ""):
        yield f'FATAL: password authentication failed for user "{name}"'
    if database is None:
        yield f'FATAL: database "{url["database"]}" does not exist'


def _runtime_role(visit: Visit, instance: Thing, pod: Pod) -> Iterator[str]:
    """The migration gives rights to the server's role, which must exist for that."""
    for variable in (v for c in pod.containers for v in c.get("env", [])):
        if variable["name"] == RUNTIME_ROLE:
            role = _on(visit, sql.USER, instance, variable["value"])
            visit.note(*filter(None, [role]))
            if role is None:
                yield f'role "{variable["value"]}" does not exist'


def _on(visit: Visit, token: str, instance: Thing, name: str) -> Thing | None:
    for thing in visit.world.of(token):
        if (thing.inputs["instance"], thing.inputs["name"]) == (instance.id, name):
            return thing if thing.usable else None
    return None
