"""Reads the contract as people do: names with their comments, from gen/mailmesh.binpb."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

from tools.generate.protos import ROOT

_ENUM = "mailmesh.errors.v1.ErrorReason"
_CODE = re.compile(r"^(?P<reason>[A-Z_]+) has the gRPC code (?P<code>[A-Z_]+)\.$", re.MULTILINE)


@dataclass(frozen=True)
class Named:
    """A named element of the contract, and its comment."""

    name: str
    kind: str
    comment: str


@dataclass(frozen=True)
class Reason:
    """One failure of the catalogue."""

    name: str
    code: str
    when: str
    remedy: str
    sample: dict[str, Any]


@cache
def files() -> list[FileDescriptorProto]:
    """Returns the contract's own files, without their imports."""
    files_ = FileDescriptorSet.FromString((ROOT / "gen" / "mailmesh.binpb").read_bytes()).file
    return [file for file in files_ if file.package.startswith("mailmesh.")]


def named() -> Iterator[Named]:
    """Yields every message, field, oneof, enum, value, service and RPC with its comment."""
    for file in files():
        comments = {tuple(place.path): place.leading_comments.strip() for place in file.source_code_info.location}
        for item, path, kind in _walk(file):
            yield Named(item, kind, _unindented(comments.get(path, "")))


def reasons() -> list[Reason]:
    """Returns the catalogue of failures, in its order.

    Raises:
        ValueError: A reason's comment has not the form that the file's head asks for.
    """
    prefix = f"{_ENUM.rpartition('.')[0]}.ERROR_REASON_"
    found = [item for item in named() if item.kind == "value" and item.name.startswith(prefix)]
    return [_reason(item.name.removeprefix(prefix), item.comment) for item in found if "UNSPECIFIED" not in item.name]


def _reason(name: str, comment: str) -> Reason:
    head = _CODE.search(comment)
    parts = dict(
        re.findall(r"^(When|Do|Sample): (.+?)(?=\n(?:When|Do|Sample): |\Z)", comment, re.MULTILINE | re.DOTALL)
    )
    if head is None or head["reason"] != name or set(parts) != {"When", "Do", "Sample"}:
        raise ValueError(f"{name}: the comment must say its code, When, Do and Sample:\n{comment}")
    when, remedy = (" ".join(parts[key].split()) for key in ("When", "Do"))
    return Reason(name, head["code"], when, remedy, json.loads(parts["Sample"]))


def _unindented(comment: str) -> str:
    return "\n".join(line.strip() for line in comment.splitlines())


_Item = tuple[str, tuple[int, ...], str]


def _walk(file: FileDescriptorProto) -> Iterator[_Item]:
    for index, message in enumerate(file.message_type):
        yield from _walk_message(message, f"{file.package}.{message.name}", (4, index))
    for index, enum in enumerate(file.enum_type):
        yield from _walk_enum(enum, file.package, (5, index))
    for index, service in enumerate(file.service):
        yield from _walk_service(service, f"{file.package}.{service.name}", (6, index))


def _walk_message(message: DescriptorProto, name: str, path: tuple[int, ...]) -> Iterator[_Item]:
    yield name, path, "message"
    for index, field in enumerate(message.field):
        yield f"{name}.{field.name}", (*path, 2, index), "field"
    for index, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            yield from _walk_message(nested, f"{name}.{nested.name}", (*path, 3, index))
    for index, enum in enumerate(message.enum_type):
        yield from _walk_enum(enum, name, (*path, 4, index))
    real = len(message.oneof_decl) - sum(field.proto3_optional for field in message.field)
    for index, oneof in enumerate(message.oneof_decl[:real]):
        yield f"{name}.{oneof.name}", (*path, 8, index), "oneof"


def _walk_enum(enum: EnumDescriptorProto, scope: str, path: tuple[int, ...]) -> Iterator[_Item]:
    yield f"{scope}.{enum.name}", path, "enum"
    for index, value in enumerate(enum.value):
        yield f"{scope}.{value.name}", (*path, 2, index), "value"


def _walk_service(service: ServiceDescriptorProto, name: str, path: tuple[int, ...]) -> Iterator[_Item]:
    yield name, path, "service"
    for index, method in enumerate(service.method):
        yield f"{name}.{method.name}", (*path, 2, index), "rpc"
