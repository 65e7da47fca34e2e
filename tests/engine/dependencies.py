"""What waits for what, and how long an `up` takes at best because of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

Needs = Mapping[str, frozenset[str]]


def declared(resources: Iterable[dict[str, Any]]) -> Needs:
    """What the engine makes each resource wait for, from the state.

    A component waits for what it depends on, and its children for the component.
    """
    return {resource["urn"]: frozenset(_waits(resource)) for resource in resources}


def _waits(resource: dict[str, Any]) -> Iterator[str]:
    yield from resource.get("dependencies", [])
    for urns in resource.get("propertyDependencies", {}).values():
        yield from urns
    if provider := resource.get("provider"):
        yield provider.rsplit("::", 1)[0]
    if parent := resource.get("parent"):
        yield parent


def ancestors(needs: Needs) -> Callable[[str], frozenset[str]]:
    """Everything that has to be done before a resource, however far away."""

    @cache
    def of(urn: str) -> frozenset[str]:
        direct = needs.get(urn, frozenset())
        return direct.union(*[of(need) for need in direct])

    return of


def finished(needs: Needs, seconds: Callable[[str], float]) -> Callable[[str], float]:
    """When a resource is done, if each starts as soon as what it waits for is done."""

    @cache
    def at(urn: str) -> float:
        return started(needs, at, urn) + seconds(urn)

    return at


def started(needs: Needs, finished: Callable[[str], float], urn: str) -> float:
    """When a resource starts."""
    return max(map(finished, needs.get(urn, ())), default=0)


def longest_path(needs: Needs, seconds: Callable[[str], float]) -> list[str]:
    """The chain of resources that decides when everything is done, first to last."""
    done = finished(needs, seconds)
    path = [max(needs, key=done)]
    while before := needs.get(path[-1]):
        path.append(max(before, key=done))
    return path[::-1]


def token(urn: str) -> str:
    """The resource type, without those of its parents."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def names(urns: Iterable[str]) -> set[str]:
    """Type and logical name of each, to be read in a failure."""
    return {f"{token(urn)} {urn.split('::')[3]}" for urn in urns}
