"""What an object's own text says about it."""

from dataclasses import dataclass
from typing import Any, Self

from tests.engine.cloud.wire import at

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Reference:
    """An object by its type and its name."""

    api_version: str
    kind: str
    name: str
    namespace: str | None
    """None for an object of the whole cluster."""

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        metadata = manifest["metadata"]
        return cls(
            manifest["apiVersion"], manifest["kind"], metadata["name"], metadata.get("namespace")
        )

    @property
    def id(self) -> str:
        """The name by which the engine knows it."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def annotation(manifest: Manifest, name: str) -> str | None:
    """What an annotation says."""
    return (at(manifest, "metadata.annotations") or {}).get(name)


def says_true(manifest: Manifest, name: str) -> bool:
    """Whether an annotation is set to `true`."""
    return annotation(manifest, name) == "true"


def owned_by(manifest: Manifest, owner: Manifest) -> bool:
    """Whether an object was made for another one."""
    owners = at(manifest, "metadata.ownerReferences") or []
    return any(each["uid"] == owner["metadata"]["uid"] for each in owners)


def condition(manifest: Manifest, kind: str) -> dict[str, str]:
    """One of the conditions in an object's status; empty where it has none of that type."""
    conditions = at(manifest, "status.conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})
