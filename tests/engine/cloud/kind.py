"""What the stand-in knows about one resource type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .thing import Thing
from .wire import Inputs
from .world import Visit, World


def _nothing(*_: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The behaviour of a type; the defaults describe one with nothing special about it."""

    token: str
    id: Callable[[World, Inputs], str]
    """The full name; Google refuses a second resource with the same one."""

    seconds: float
    """How long a create takes in the real service."""

    seconds_to_update: float = 10
    seconds_to_delete: float = 10
    api: str | None = None
    """The service that must be enabled first."""

    replaced_by: frozenset[str] = frozenset()
    """Paths of properties that the real service cannot change on an existing resource."""

    references: Mapping[str, str] = field(default_factory=dict)
    """Path of an input → type of the resource it names: must exist, and cannot go before."""

    part_of: str | None = None
    """The one of these references that does not keep its resource, but goes with it."""

    adopts: bool = False
    """Whether a create takes over what has the same name, instead of being refused."""

    computed: Callable[[World, Inputs], Inputs] = _nothing
    """What the cloud adds to the inputs."""

    admit: Callable[[Visit], Any] = _nothing
    """Refuses a create (or an update) that Google would refuse."""

    created: Callable[[World, Thing], Any] = _nothing
    """What else becomes true once it exists."""

    release: Callable[[World, Thing], Any] = _nothing
    """Refuses a delete that Google would refuse."""

    deleted: Callable[[World, Thing], Any] = _nothing
    ready: Callable[[Visit], list[str]] | None = None
    """Reasons why a created object is not ready yet; awaited, as the real provider does."""

    auto_name: str | None = "name"
    """The property that gets a generated value when absent."""


def replaced_by(*paths: str) -> frozenset[str]:
    """Spell the set shorter; every Google resource is bound to its project."""
    return frozenset({*paths, "project"})
