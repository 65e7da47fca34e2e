"""Writes `docs/reference.md`: every setting and every output, from the classes that define them.

`python -m tools.reference` rewrites the page; a test fails when it is out of date.
"""

import ast
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel

import platforms
from platforms.handoff import Handoff

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"

HEAD = """\
# Reference: settings and outputs

Generated from the code by `python -m tools.reference`. Do not edit.

Every key below is written `mlflow-platform:<key>` in a stack file. Set one with
`pulumi config set --path mlflow-platform:<key> <value>`; a key that is not listed is refused.
"""

Schema = dict[str, Any]


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [HEAD]
    for name in platforms.PLATFORMS:
        schema = TypeAdapter(platforms.choose(name).Stack).json_schema()
        parts.append(f"## Settings of `platform: {name}`\n")
        parts.append(table(("key", "allowed", "default", "meaning"), rows(schema, schema)))
    parts.append("## Outputs of every stack\n")
    parts.append("`pulumi stack output <name>`. Empty where a platform has no such thing.\n")
    parts.append(table(("output", "meaning"), outputs()))
    return "\n".join(parts)


def rows(schema: Schema, whole: Schema, path: str = "") -> Iterator[tuple[str, ...]]:
    """Yield one row per setting, sections flattened to dotted keys."""
    for key, field in schema["properties"].items():
        section, optional = resolve(field, whole)
        at = f"{path}{key}"
        if section is None:
            required = key in schema.get("required", ())
            default = "required" if required else shown(field.get("default"))
            yield f"`{at}`", allowed(field, whole), default, field.get("description", "")
            continue
        if optional:
            yield f"`{at}`", "a section", "none", field.get("description", "")
        yield from rows(section, whole, f"{at}.")


def resolve(field: Schema, whole: Schema) -> tuple[Schema | None, bool]:
    """Return the section that a field refers to, and whether it may be left out entirely."""
    choices = field.get("anyOf", [field])
    for choice in choices:
        if "$ref" in choice:
            return whole["$defs"][choice["$ref"].rsplit("/", 1)[1]], {"type": "null"} in choices
    return None, False


def allowed(field: Schema, whole: Schema) -> str:
    """Say in a few words what a setting takes."""
    if "anyOf" in field:
        return " or ".join(allowed(c, whole) for c in field["anyOf"] if c != {"type": "null"})
    if "$ref" in field:
        return "a section"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        inner = field.get("items", {})
        section, _ = resolve(inner, whole)
        if section is not None:
            return "list of {" + ", ".join(section["properties"]) + "}"
        return f"list of {allowed(inner, whole)}"
    if field.get("type") == "object":
        return f"map to {allowed(field.get('additionalProperties', {}), whole)}"
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"{low} or more"
    return {"boolean": "`true`, `false`", "integer": "integer"}.get(field.get("type", ""), "text")


def shown(value: Any) -> str:
    """Write a default as it would stand in the stack file."""
    return "none" if value in (None, "", [], {}) else f"`{json.dumps(value)}`".replace('"', "")


def outputs() -> Iterator[tuple[str, ...]]:
    """Yield one row per field of the hand-off, with the string below it as its meaning."""
    (handoff,) = ast.parse(inspect.getsource(Handoff)).body
    body = cast(ast.ClassDef, handoff).body
    for statement, after in zip(body, body[1:], strict=False):
        if not isinstance(statement, ast.AnnAssign):
            continue
        text = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            text = str(after.value.value)
        yield f"`{to_camel(ast.unparse(statement.target))}`", text


def table(head: tuple[str, ...], body: Iterator[tuple[str, ...]]) -> str:
    """Lay rows out as a Markdown table."""
    lines = [head, tuple("---" for _ in head), *body]
    cells = [[" ".join(cell.replace("|", "\\|").split()) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
