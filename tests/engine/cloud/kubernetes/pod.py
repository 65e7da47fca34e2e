"""The pod of a workload, with what the names in it lead to."""

import base64
from collections.abc import Iterator
from typing import Any

from ..gcp import sql
from ..thing import Thing
from ..wire import Inputs, at
from ..world import World

SERVICE_ACCOUNT = "kubernetes:core/v1:ServiceAccount"
HOLDERS = {"secret": "kubernetes:core/v1:Secret", "configMap": "kubernetes:core/v1:ConfigMap"}
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
GOOGLE_ACCOUNT = "iam.gke.io/gcp-service-account"


class Pod:
    """Read from the template of a Deployment, a StatefulSet or a Job."""

    def __init__(self, world: World, workload: Inputs) -> None:
        self.world = world
        self.spec: Inputs = at(workload, "spec.template.spec")
        self.namespace = str(workload["metadata"].get("namespace") or "default")
        self.account_name = str(self.spec.get("serviceAccountName", "default"))

    @property
    def account(self) -> Thing | None:
        """The Kubernetes service account, if it exists."""
        id = f"{self.namespace}/{self.account_name}"
        account = self.world.things.get((SERVICE_ACCOUNT, id))
        return account if account and account.usable else None

    @property
    def email(self) -> str | None:
        """The Google account that it acts as."""
        annotations = self.account and self.account.inputs["metadata"].get("annotations")
        return (annotations or {}).get(GOOGLE_ACCOUNT)

    @property
    def images(self) -> list[str]:
        """Images of all containers."""
        return [container["image"] for container in self.all_containers]

    @property
    def all_containers(self) -> list[Inputs]:
        """Init containers and sidecars too."""
        return [*self.spec.get("initContainers", []), *self.containers]

    @property
    def containers(self) -> list[Inputs]:
        """The main containers."""
        return list(self.spec["containers"])

    @property
    def claims(self) -> list[str]:
        """Names of the claims whose volumes it mounts."""
        volumes = self.spec.get("volumes", [])
        claims = [v["persistentVolumeClaim"] for v in volumes if "persistentVolumeClaim" in v]
        return [claim["claimName"] for claim in claims]

    def holders(self) -> Iterator[tuple[str, str, Thing | None]]:
        """Every Secret and ConfigMap that the pod cannot start without."""
        for kind, name in _named(self.spec):
            held = self.world.things.get((HOLDERS[kind], f"{self.namespace}/{name}"))
            yield kind, name, held if held and held.usable else None

    def texts(self) -> set[str]:
        """Every text that the containers can see: arguments, environment, mounted values."""
        texts = set(_texts(self.spec))
        for kind, _, holder in self.holders():
            if holder:
                texts.update((holder.inputs.get("stringData") or {}).values())
                data = (holder.inputs.get("data") or {}).values()
                texts.update(data if kind == "configMap" else map(_decoded, data))
        return texts

    def variables(self) -> dict[str, str]:
        """The containers' environment, from whatever it comes."""
        found: dict[str, str] = {}
        for container in self.containers:
            for source in container.get("envFrom", []):
                for kind, name in _named(source):
                    held = self.world.things.get((HOLDERS[kind], f"{self.namespace}/{name}"))
                    if held:
                        found |= held.inputs.get("stringData") or {}
                        found |= held.inputs.get("data") or {}
            found |= {v["name"]: v["value"] for v in container.get("env", []) if "value" in v}
        return found

    def instances(self) -> Iterator[Thing]:
        """The Cloud SQL instances that its proxy connects to."""
        texts = self.texts()
        for instance in self.world.of(sql.INSTANCE):
            if instance.usable and instance.outputs["connectionName"] in texts:
                yield instance


def _named(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for part in value:
            yield from _named(part)
    if not isinstance(value, dict):
        return
    for key, part in value.items():
        if isinstance(part, dict) and not part.get("optional"):
            if key in ("secretKeyRef", "secretRef"):
                yield "secret", part["name"]
            elif key in ("configMapKeyRef", "configMapRef"):
                yield "configMap", part["name"]
            elif key == "secret" and ("secretName" in part or "name" in part):
                yield "secret", part.get("secretName") or part["name"]
            elif key == "configMap" and "name" in part:
                yield "configMap", part["name"]
        yield from _named(part)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _decoded(value: str) -> str:
    return base64.b64decode(value).decode()
