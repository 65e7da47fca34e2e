"""What changed between two sets of inputs, and whether the change needs a new resource."""

from collections.abc import Iterator
from typing import Any

from pulumi.runtime.proto import provider_pb2

from .kind import Kind
from .wire import Inputs, at

DiffKind = provider_pb2.PropertyDiff


def changes(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, int]]:
    """Name each changed path with its kind of change."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if key.startswith("__"):
                continue
            yield from changes(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from changes(before, after, f"{path}[{index}]")
    elif old != new:
        kind = DiffKind.ADD if old is None else DiffKind.DELETE if new is None else DiffKind.UPDATE
        yield path, kind


def respond(kind: Kind, old: Inputs, new: Inputs) -> provider_pb2.DiffResponse:
    """Answer a Diff request."""
    response = provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_NONE, hasDetailedDiff=True
    )
    for path, change in changes(old, new):
        response.changes = provider_pb2.DiffResponse.DIFF_SOME
        top = path.split(".")[0].split("[")[0]
        if top not in response.diffs:
            response.diffs.append(top)
        replaces = _needs_replacement(kind, path)
        if replaces and top not in response.replaces:
            response.replaces.append(top)
        # In the enumeration each kind is followed by its replacing twin.
        response.detailedDiff[path].kind = change + replaces
        response.detailedDiff[path].inputDiff = True
    # A name that a person chose is taken until the old resource is gone.
    response.deleteBeforeReplace = bool(response.replaces) and _name_is_kept(kind, old, new)
    return response


def _needs_replacement(kind: Kind, path: str) -> bool:
    plain = path.replace("[", ".").split(".")
    return any(plain[: len(bound)] == bound for bound in (p.split(".") for p in kind.replaced_by))


def _name_is_kept(kind: Kind, old: Inputs, new: Inputs) -> bool:
    return kind.auto_name is None or at(old, kind.auto_name) == at(new, kind.auto_name)
