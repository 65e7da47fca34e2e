"""MLflow's answers as JSON, in one pass.

MLflow makes four of it: one to a dictionary, one that collects the 64-bit integers again, which
Google's function turns into text, one that puts them back, and one that writes it with spaces, for
which Python's `json` has no compiled code. That is half of what a search costs.
"""

import math
from collections.abc import Callable
from functools import cache
from json.encoder import encode_basestring_ascii
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from mlflow.utils import proto_json_utils

Write = Callable[[Any, str], str]
"""The text of a value. The second argument ends a line, and indents the next one."""

INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}


def message_to_json(
    message: Any, *, pretty: bool = True, convert_int64_to_number: bool = True
) -> str:
    """As MLflow's function of that name, to the letter."""
    if pretty and convert_int64_to_number and plain(message.DESCRIPTOR):
        return _message(message, "\n")
    text: str = proto_json_utils.message_to_json(
        message, pretty=pretty, convert_int64_to_number=convert_int64_to_number
    )
    return text


@cache
def plain(descriptor: Descriptor) -> bool:
    """Whether all that a message can hold is written below; if not, MLflow writes the whole."""
    reached: list[Descriptor] = [descriptor]
    for each in reached:  # which grows meanwhile
        # Google's own have forms of their own, such as a time that is a text.
        if each.GetOptions().map_entry or each.file.package.startswith("google."):
            return False
        for field in each.fields:
            if field.message_type is not None:
                if field.type == FieldDescriptor.TYPE_GROUP:
                    return False
                if field.message_type not in reached:
                    reached.append(field.message_type)
            elif _writer(field) is None:
                return False
        if each.is_extendable:
            return False
    return True


def _message(message: Any, line: str) -> str:
    inner = f"{line}  "
    parts = []
    for field, value in message.ListFields():
        key, write, repeated = _known(field)
        if repeated:
            deeper = f"{inner}  "
            values = f",{deeper}".join([write(each, deeper) for each in value])
            parts.append(f"{key}[{deeper}{values}{inner}]")
        else:
            parts.append(key + write(value, inner))
    return f"{{{inner}{f',{inner}'.join(parts)}{line}}}" if parts else "{}"


@cache
def _known(field: FieldDescriptor) -> tuple[str, Write, bool]:
    write = _writer(field) or _message
    return f'"{field.name}": ', write, bool(field.is_repeated)


def _writer(field: FieldDescriptor) -> Write | None:
    """How a value is written; nothing for a message, and for what is left to MLflow."""
    if field.cpp_type in INTEGERS:
        return lambda value, _: str(value)
    if field.type == FieldDescriptor.TYPE_STRING:
        return lambda value, _: encode_basestring_ascii(value)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return lambda value, _: "true" if value else "false"
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return _double
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return _enum(field.enum_type)
    return None


def _double(value: float, _: str) -> str:
    if math.isfinite(value):
        return repr(value)
    if math.isnan(value):
        return '"NaN"'
    return '"Infinity"' if value > 0 else '"-Infinity"'


def _enum(kind: EnumDescriptor) -> Write | None:
    if kind.file.package.startswith("google."):
        return None
    names = {number: f'"{value.name}"' for number, value in kind.values_by_number.items()}
    return lambda value, _: names.get(value, str(value))
