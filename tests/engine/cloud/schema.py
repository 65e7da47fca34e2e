"""What a resource type accepts, read from the SDK's own typed classes.

The SDK passes a misspelt key of a dict literal on without a word; the real provider refuses it.
"""

import gc
import importlib
import inspect
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from pulumi import _types

from .wire import UNKNOWN, Inputs

# Text that only a slip in the program produces: an Output formatted by Python, or an output
# that never got a value.
SLIPS = re.compile(r"Calling __str__ on an Output|[^A-Za-z]None\b|\bNone[^A-Za-z]")


KINDS: dict[Any, tuple[type, ...]] = {
    str: (str,),
    bool: (bool,),
    int: (int,),
    float: (int, float),
}


class Problem(NamedTuple):
    """One complaint about one property, in the words of the real provider."""

    path: str
    reason: str


def problems(token: str, inputs: Inputs) -> Iterator[Problem]:
    """Compare the inputs of a resource with the class that the SDK declares for its type."""
    yield from _object(args_class(token), inputs, "")


@cache
def args_class(token: str) -> type:
    """Find the SDK's class of inputs: `gcp:sql/user:User` is `pulumi_gcp.sql.UserArgs`."""
    package, area, name = token.split(":")
    path = [part.split(".")[0] for part in area.split("/")]
    if package == "kubernetes":
        # Importing the class's own module would put the module in the place of the class.
        resource = getattr(_imported(f"pulumi_kubernetes.{'.'.join(path)}"), name)
        return typing.cast(type, getattr(inspect.getmodule(resource), f"{name}InitArgs"))
    places = [f"pulumi_{package}"] if path[0] == "index" else [f"pulumi_{package}", path[0]]
    return typing.cast(type, getattr(_imported(".".join(places)), f"{name}Args"))


def _imported(module: str) -> ModuleType:
    """A part of an SDK; it is large, so nobody looks for garbage in it, now or later."""
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


@cache
def _properties(cls: type) -> dict[str, tuple[Any, bool]]:
    """Map each camelCase name to its type and whether it is required."""
    types = _types.input_type_types(cls)
    parameters = inspect.signature(cls).parameters
    return {
        name: (types[name], parameters[python].default is inspect.Parameter.empty)
        for python, name in _types.input_type_py_to_pulumi_names(cls).items()
    }


def _object(cls: type, value: Inputs, path: str) -> Iterator[Problem]:
    properties = _properties(cls)
    for name, part in value.items():
        if name.startswith("__"):
            continue
        if name not in properties:
            yield Problem(_join(path, name), "Invalid or unknown key")
        elif part is not None:
            yield from _value(properties[name][0], part, _join(path, name))
    for name, (_, required) in properties.items():
        if required and value.get(name) is None:
            yield Problem(
                _join(path, name),
                f'Missing required argument. The argument "{name}" is required, '
                "but no definition was found.",
            )


def _value(declared: Any, value: Any, path: str) -> Iterator[Problem]:
    if value == UNKNOWN or declared is Any:
        return
    declared = _types.unwrap_type(declared)
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if _types._is_union_type(declared):  # type: ignore[no-untyped-call]
        yield from _any_of([a for a in arguments if not _types._is_plumbing_arg(a)], value, path)
    elif origin is typing.Literal:
        if value not in arguments:
            yield Problem(path, f"expected one of {list(arguments)}, got {value!r}")
    elif isinstance(declared, type) and _types.is_input_type(declared):
        if isinstance(value, dict):
            yield from _object(declared, value, path)
        else:
            yield _wrong_kind("object", value, path)
    elif _is_a(origin, Sequence):
        if isinstance(value, list):
            for index, part in enumerate(value):
                yield from _value(arguments[0], part, f"{path}[{index}]")
        else:
            yield _wrong_kind("list", value, path)
    elif _is_a(origin, Mapping) or declared is dict:
        if isinstance(value, dict):
            for key, part in value.items():
                yield from _value(arguments[1] if arguments else Any, part, _join(path, key))
        else:
            yield _wrong_kind("map", value, path)
    else:
        yield from _scalar(declared, value, path)


def _any_of(members: list[Any], value: Any, path: str) -> Iterator[Problem]:
    attempts = [list(_value(m, value, path)) for m in members if m is not type(None)]
    if attempts and all(attempts):
        yield from attempts[0]


def _scalar(declared: Any, value: Any, path: str) -> Iterator[Problem]:
    wanted = KINDS.get(declared)
    if wanted is None:
        return
    if not isinstance(value, wanted) or (declared is not bool and isinstance(value, bool)):
        yield _wrong_kind(declared.__name__, value, path)
    elif declared is str and (slip := SLIPS.search(str(value))):
        yield Problem(path, f"the text contains {slip.group()!r}, which the program cannot mean")


def _wrong_kind(wanted: str, value: Any, path: str) -> Problem:
    return Problem(path, f"expected {wanted} type, got {value!r} of type {type(value).__name__}")


def _is_a(origin: Any, kind: type) -> bool:
    return isinstance(origin, type) and issubclass(origin, kind)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
