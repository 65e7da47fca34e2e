"""What is wrong with a stack file, in sentences a person can act on."""

import difflib
import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import ErrorDetails

from settings import AllRefused, Refused

from .document import Document, Schema


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One reason to refuse a stack file: the key, what was given, what is allowed, the cure."""

    key: str
    why: str
    given: str = ""
    allowed: str = ""
    cure: str = ""

    def __str__(self) -> str:
        cure = "type" if self.cure.startswith("pulumi ") else "do"
        details = {"given": self.given, "allowed": self.allowed, cure: self.cure}
        lines = [f"  {name + ':':8} {text}" for name, text in details.items() if text]
        return "\n".join([f"{self.key}: {self.why}", *lines])


@dataclass(frozen=True, kw_only=True)
class Translator:
    """Turns what pydantic and the sections refuse into problems of one stack file."""

    document: Document
    namespace: str
    stack: str

    def problems(self, error: ErrorDetails) -> list[Problem]:
        """Of one of pydantic's errors: one problem, or all that a section found at once."""
        at, cause = error["loc"], error.get("ctx", {}).get("error")
        if isinstance(cause, Refused):
            return [self._refused(at, cause)]
        if isinstance(cause, AllRefused):
            return [self._refused(at, each) for each in cause.refusals]
        if error["type"] == "unexpected_keyword_argument":
            return [self._unknown(at, section=isinstance(error["input"], dict))]
        return [self._invalid(at, error)]

    def _refused(self, at: Sequence[str | int], cause: Refused) -> Problem:
        key = self._key(at, cause.key)
        return Problem(
            key=key,
            why=cause.why,
            given=shown(cause.given),
            allowed=cause.allowed,
            cure=self._cure(key, cause.cure),
        )

    def _unknown(self, at: Sequence[str | int], *, section: bool) -> Problem:
        """An unknown key's value is not shown: it may be a password in the wrong place."""
        *above, name = at
        key, siblings = self._key(at), list(self.document.at(above).get("properties", {}))
        elsewhere = {
            str(path[-1]): path
            for path in self.document.paths()
            if ("properties" in self.document.at(path)) == section
        }
        if near := nearest(str(name), siblings):
            why, cure = f"unknown key; did you mean {near}?", f"write {near} in place of {name}"
        elif known := nearest(str(name), elsewhere, cutoff=0.85):
            other = self._key(elsewhere[known])
            why, cure = f"unknown key; did you mean {other}?", f"write its value at {other}"
        else:
            platform = self.document.at(["platform"]).get("const")
            why = "unknown key" if above else f"unknown key of platform {platform}"
            cure = command(self.stack, "rm", key)
        return Problem(key=key, why=why, allowed=", ".join(sorted(siblings)), cure=cure)

    def _invalid(self, at: Sequence[str | int], error: ErrorDetails) -> Problem:
        key, schema = self._key(at), self.document.at(at)
        given = shown(error["input"]) or json.dumps(error["input"])
        limits = error.get("ctx", {})
        fitting = _fitting(schema)
        match error["type"]:
            case "missing":
                why, given = "is not set", ""
            case "literal_error":
                choices = _choices(schema)
                why, fitting = "is not a choice", nearest(given, choices) or choices[0]
            case "greater_than_equal":
                why, fitting = f"is less than {limits['ge']}", str(limits["ge"])
            case "less_than_equal":
                why, fitting = f"is more than {limits['le']}", str(limits["le"])
            case "int_parsing" | "int_type" | "int_from_float":
                why = "is not a whole number"
            case "bool_parsing" | "bool_type":
                why = "is neither true nor false"
            case "string_type":
                why, fitting = "is not text", f'write "{given}", in quotes'
            case "string_too_short" | "too_short":
                why = "is empty"
            case "dataclass_type" | "dict_type":
                why, fitting = (
                    "is a section with keys of its own",
                    "write its keys below it, or leave it out",
                )
            case "tuple_type" | "list_type":
                why = "is a list"
            case _:
                why = error["msg"][0].lower() + error["msg"][1:]
        cure = self._cure(key, fitting)
        return Problem(key=key, why=why, given=given, allowed=_allowed(schema), cure=cure)

    def _key(self, at: Sequence[str | int], rest: str = "") -> str:
        """A path, spelled as `pulumi config set --path` takes it."""
        path = ""
        for step in at:
            if isinstance(step, int):
                path += f"[{step}]"
            else:
                path += f".{step}" if re.fullmatch(r"[\w-]+", step) else f'["{step}"]'
        path += rest if rest.startswith("[") else f".{rest}" if rest else ""
        return f"{self.namespace}:{path.removeprefix('.')}"

    def _cure(self, key: str, fitting: str) -> str:
        """A cure with a space in it is a sentence, anything else the value to type."""
        return fitting if " " in fitting else command(self.stack, "set", key, fitting)


def command(stack: str, verb: str, key: str, *value: str) -> str:
    """What to type. It names the stack, because another one may be selected."""
    path = ["--path"] if re.search(r"[.\[]", key) else []
    return shlex.join(["pulumi", "config", verb, "--stack", stack, *path, key, *value])


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that was probably meant; case and separators do not count."""
    plain = {re.sub(r"[\W_]", "", each).lower(): each for each in known}
    close = difflib.get_close_matches(re.sub(r"[\W_]", "", name).lower(), plain, 1, cutoff)
    return plain[close[0]] if close else None


def shown(value: Any) -> str:
    """A value as a person wrote it. What is inside of sections stays there."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return "keys: " + ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _fitting(schema: Schema) -> str:
    """A value that is certainly allowed, or how to come by one."""
    if schema.get("type") == "array":
        return "write one value a line below it, after a dash"
    for value in (schema.get("default"), *schema.get("examples", ()), schema.get("minimum")):
        if value not in (None, ""):
            return shown(value)
    return "leave it out" if "default" in schema else "give it a value"


def _choices(schema: Schema) -> list[str]:
    return [shown(choice) for choice in schema.get("enum") or [schema.get("const")]]


def _allowed(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if "enum" in schema or "const" in schema:
        *others, last = _choices(schema)
        return f"{', '.join(others)} or {last}" if others else last
    if least is not None:
        return f"{least} to {most}" if most is not None else f"{least} or more"
    if most is not None:
        return f"up to {most}"
    if "properties" in schema:
        return ", ".join(sorted(schema["properties"]))
    meaning = " ".join(schema.get("description", "").split())
    kinds = {"integer": "a whole number", "boolean": "true or false"}
    return kinds.get(schema.get("type", ""), meaning.removesuffix("."))
