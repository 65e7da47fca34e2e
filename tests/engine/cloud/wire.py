"""Property values as the engine sends them: plain JSON, with two kinds of sentinel in it."""

from typing import Any

from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc

Inputs = dict[str, Any]

UNKNOWN = rpc.UNKNOWN


def unpack(struct: struct_pb2.Struct) -> Inputs:
    """Turn a protobuf struct into plain values; whole numbers come back as `int`."""
    return {key: _whole(value) for key, value in json_format.MessageToDict(struct).items()}


def pack(values: Inputs) -> struct_pb2.Struct:
    """Turn plain values into a protobuf struct."""
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def secret(value: Any) -> dict[str, Any]:
    """Mark a value as secret, so that the engine encrypts it in the state."""
    return {rpc._special_sig_key: rpc._special_secret_sig, "value": value}


def has_unknown(value: Any) -> bool:
    """Say whether a preview does not know the value, or part of it, yet."""
    if isinstance(value, dict):
        return any(has_unknown(part) for part in value.values())
    if isinstance(value, list):
        return any(has_unknown(part) for part in value)
    return bool(value == UNKNOWN)


def at(values: Any, path: str) -> Any:
    """Look up `settings.ipConfiguration.privateNetwork`; None where any part is absent."""
    for part in path.split("."):
        if not isinstance(values, dict):
            return None
        values = values.get(part)
    return values


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(part) for part in value]
    if isinstance(value, dict):
        return {key: _whole(part) for key, part in value.items()}
    return value
