"""Answers are written as MLflow writes them, whatever is in them."""

import random

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from mlflow.protos import (
    assessments_pb2,
    mlflow_artifacts_pb2,
    model_registry_pb2,
    service_pb2,
    webhooks_pb2,
)
from mlflow.utils import proto_json_utils

from server.message_json import message_to_json, plain

FILES = [assessments_pb2, mlflow_artifacts_pb2, model_registry_pb2, service_pb2, webhooks_pb2]
ROUNDS = 20
DEPTH = 4

TEXTS = ["", "plain", 'with "quotes" \\ and / \n', "größer ✈ 𝄞", "\x00\x1f\x7f", "</script>"]
NUMBERS = [0.0, -0.0, 1.0, 0.1, 1e300, 5e-324, 2**53 + 1.0, -123456.789, 1e16, 1e22]
ODD_NUMBERS = [float("nan"), float("inf"), float("-inf")]


def messages():
    """Every kind of message of MLflow's services."""
    todo = [kind for file in FILES for kind in file.DESCRIPTOR.message_types_by_name.values()]
    for kind in todo:
        todo.extend(nested for nested in kind.nested_types if not nested.GetOptions().map_entry)
    return sorted(todo, key=lambda kind: kind.full_name)


def scalar(field, draw):
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return draw.random() < 0.5
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return draw.choice(field.enum_type.values).number
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return draw.choice([*NUMBERS, *ODD_NUMBERS, draw.uniform(-1, 1)])
    if kind == FieldDescriptor.CPPTYPE_STRING:
        text = draw.choice(TEXTS)
        return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
    unsigned = kind in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)
    bits = 32 if kind in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32) else 64
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return draw.choice([0, 1, low, high, draw.randint(low, high)])


def fill(message, draw, depth=DEPTH):
    for field in message.DESCRIPTOR.fields:
        if draw.random() < 0.4 or field.full_name.startswith("google."):
            continue
        if field.message_type is None:
            if field.is_repeated:
                for _ in range(draw.randint(0, 3)):
                    getattr(message, field.name).append(scalar(field, draw))
            else:
                setattr(message, field.name, scalar(field, draw))
        elif depth and not field.message_type.GetOptions().map_entry:
            if field.is_repeated:
                for _ in range(draw.randint(0, 3)):
                    fill(getattr(message, field.name).add(), draw, depth - 1)
            else:
                part = getattr(message, field.name)
                part.SetInParent()
                fill(part, draw, depth - 1)
    return message


@pytest.mark.parametrize("kind", messages(), ids=lambda kind: kind.full_name)
def test_a_message_is_written_to_the_letter(kind):
    draw = random.Random(kind.full_name)  # noqa: S311
    for _ in range(ROUNDS):
        message = fill(GetMessageClass(kind)(), draw)

        assert message_to_json(message) == proto_json_utils.message_to_json(message)


@pytest.mark.parametrize(
    "kind",
    [service_pb2.SearchRuns.Response, service_pb2.GetRun.Response, service_pb2.CreateRun.Response],
)
def test_what_is_asked_most_is_written_here(kind):
    assert plain(kind.DESCRIPTOR)


@pytest.mark.parametrize("kind", [service_pb2.TraceInfoV3, Timestamp, Duration])
def test_what_has_a_form_of_its_own_is_left_to_mlflow(kind):
    assert not plain(kind.DESCRIPTOR)


@pytest.mark.parametrize("options", [{"pretty": False}, {"convert_int64_to_number": False}])
def test_other_ways_to_write_are_mlflows(options):
    message = service_pb2.CreateRun.Response()
    message.run.info.start_time = 7

    assert message_to_json(message, **options) == proto_json_utils.message_to_json(
        message, **options
    )
