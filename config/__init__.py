"""The stack file: read once, validated whole, handed on as plain values."""

import difflib
import json
from collections.abc import Iterator
from typing import Any, TypeVar

import pulumi
from pulumi.runtime import get_config_env, get_config_secret_keys_env, is_config_secret

# `pulumi.Config` reads a key but cannot list them, and a misspelt key is one that nobody reads.
from pulumi.runtime.config import CONFIG
from pydantic import TypeAdapter, ValidationError

from platforms import PLATFORMS

from .document import Document
from .refusal import Problem, Translator, command, nearest

NAMESPACE = "mlflow-platform"

T = TypeVar("T")


def platform() -> str:
    """What the stack runs on. It decides which other keys the stack file may have."""
    stack, key = pulumi.get_stack(), f"{NAMESPACE}:platform"
    given = str(_keys().get(key, ""))
    if given not in PLATFORMS:
        raise _refusal(
            Problem(
                key=key,
                why="is not a platform" if given else "is not set",
                given=given,
                allowed=" or ".join(PLATFORMS),
                cure=command(stack, "set", key, nearest(given, PLATFORMS) or PLATFORMS[0]),
            )
        )
    return given


def load(document: type[T]) -> T:
    """The stack file as the platform's typed document; everything wrong with it is said at once."""
    if unreadable := list(_unreadable()):
        raise _refusal(*unreadable)
    adapter, stack = TypeAdapter(document), pulumi.get_stack()
    try:
        # The stack's own name, under a key that no stack file can have.
        return adapter.validate_python({**_values(), "pulumi:stack": stack})
    except ValidationError as error:
        translator = Translator(document=Document(adapter), namespace=NAMESPACE, stack=stack)
        problems = [each for detail in error.errors() for each in translator.problems(detail)]
        raise _refusal(*problems) from None


def _keys() -> dict[str, Any]:
    """Every key of every namespace, wherever the language host has put it."""
    return {**get_config_env(), **CONFIG.get()}


def _values() -> dict[str, Any]:
    """Our keys without the namespace. Sections reach a program as JSON, scalars as they are."""
    return {
        key.removeprefix(f"{NAMESPACE}:"): json.loads(value) if value[:1] in ("{", "[") else value
        for key, value in _keys().items()
        if key.startswith(f"{NAMESPACE}:")
    }


def _unreadable() -> Iterator[Problem]:
    """Keys to refuse by their name alone; a secret one before anything could show its value."""
    for key in _keys():
        namespace, _, name = key.partition(":")
        if namespace != NAMESPACE and difflib.get_close_matches(namespace, [NAMESPACE], 1, 0.8):
            yield Problem(
                key=key,
                why=f"unknown namespace; did you mean {NAMESPACE}:{name}?",
                allowed=f"{NAMESPACE}, and the namespaces of providers such as gcp",
                cure=f"write {NAMESPACE} in place of {namespace}",
            )
        elif namespace == NAMESPACE and (
            is_config_secret(key) or key in get_config_secret_keys_env()
        ):
            yield Problem(
                key=key,
                why="is secret, and inside of the program it would be so no longer",
                allowed="plain values; passwords are generated, and kept encrypted in the state",
                cure="write a plain value in place of `secure:`, or leave the key out",
            )


def _refusal(*problems: Problem) -> pulumi.RunError:
    """An error that Pulumi prints without a traceback."""
    title = f"Pulumi.{pulumi.get_stack()}.yaml is refused, nothing was changed:"
    return pulumi.RunError("\n\n".join([title, *map(str, problems)]))
