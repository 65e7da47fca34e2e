"""What a section of the stack file is made of: frozen values that refuse what cannot work."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

T = TypeVar("T")


class Refused(ValueError):
    """A value that cannot work, with what is allowed and what to type.

    `key` is relative to the section that raises it, in the spelling of the stack file
    (`accelerator.count`); `config` puts the section's own path before it.
    """

    def __init__(self, key: str, why: str, *, given: Any, allowed: str, cure: str) -> None:
        super().__init__(why)
        self.key = key
        self.why = why
        self.given = given
        self.allowed = allowed
        self.cure = cure
        """A value to set the key to, or a sentence when no single value is right."""


class AllRefused(ValueError):
    """Several refusals of one section, so that a stack file is mended in one go."""

    def __init__(self, refusals: Iterable[Refused]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("; ".join(map(str, self.refusals)))


@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make a class a section of the stack file: frozen, camelCase keys, unknown keys refused.

    The string below each field is its documentation; `__post_init__` raises `Refused`.
    """
    config = ConfigDict(extra="forbid", alias_generator=to_camel, use_attribute_docstrings=True)
    cls.__pydantic_config__ = config  # type: ignore[attr-defined]
    return dataclass(frozen=True, kw_only=True)(cls)
