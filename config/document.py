"""Which keys a platform's stack file may have, and what may stand at each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

Schema = Mapping[str, Any]
Path = tuple[str | int, ...]


class Document:
    """The JSON schema of a stack class, looked up by path."""

    def __init__(self, stack: TypeAdapter[Any]) -> None:
        self._schema: Schema = stack.json_schema()

    def at(self, path: Sequence[str | int]) -> Schema:
        """What may stand at a path; empty where the path leads nowhere."""
        schema = self._open(self._schema)
        for step in path:
            if isinstance(step, int):
                inner = schema.get("items")
            else:
                inner = schema.get("properties", {}).get(step, schema.get("additionalProperties"))
            schema = self._open(inner or {})
        return schema

    def paths(self, below: Path = ()) -> Iterator[Path]:
        """Every key that a stack file may have, sections before what is in them."""
        for key in self.at(below).get("properties", {}):
            yield (*below, key)
            yield from self.paths((*below, key))

    def _open(self, schema: Schema) -> Schema:
        """With the reference followed and "or nothing" left out."""
        for choice in schema.get("anyOf", ()):
            if choice.get("type") != "null":
                schema = {**schema, **choice}
                break
        reference = schema.get("$ref", "").removeprefix("#/$defs/")
        return {**schema, **self._schema["$defs"][reference]} if reference else schema
