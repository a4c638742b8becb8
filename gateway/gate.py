"""Writes the Lua program for requests: the routes and names of the contract, and the programs that check by them."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)
from google.rpc import code_pb2

from gateway.contract import edge_services
from gateway.replies import DOMAIN, ERROR_INFO, HEADERS_TOO_LARGE, LOCAL_REPLIES, NOT_ONE_MESSAGE, LocalReply
from services.meshkit import header_bounds

PROGRAM_PATHS = tuple(Path(__file__).with_name(name) for name in ("gate.lua", "requests.lua"))
STRANGERS = (
    "/api/ms365/webhook",
    "/api/ms365/lifecycle",
    "/api/googlews/webhook",
    "/api/googlews/calendar",
    "/auth/oauth/",
    "/.well-known/",
)
"""Routes that the providers, browsers and hosts of agents call. They append parameters of their own."""
UNPACKED = ("gzip", "x-gzip", "deflate")
"""The values of `Content-Encoding` that Ingest unpacks."""
PAGES = "/auth/oauth/"
ROOTS = ("/v1/", "/api/", "/auth/", "/.well-known/")
"""The beginnings of all paths of the contract."""
TEXTS = ("google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask")
"""Messages whose JSON is a text. The transcoder would take their own fields as well, beside the text."""
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_VARIABLE = re.compile(r"\\?\{([a-z_.]+)\\?\}")
_VERBS = ("get", "put", "post", "delete", "patch")
_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>This address is not valid</title>"
    "<h1>This address is not valid</h1><p>A part of it is there twice, or cannot be read. Ask for a new link."
)


def program(descriptor_set: Path, conversations: Iterable[str]) -> str:
    """Return the program for requests, with the gate for the contract in a descriptor set.

    Args:
        descriptor_set: The file with the contract.
        conversations: The services whose RPCs take a stream of messages.

    Raises:
        ValueError: A path of the contract begins otherwise than the gate expects.
    """
    files = FileDescriptorSet.FromString(descriptor_set.read_bytes())
    served = {service.name for service in edge_services(descriptor_set)}
    methods = [
        method
        for file in files.file
        for service in file.service
        if f"{file.package}.{service.name}" in served
        for method in service.method
    ]
    bindings = [binding for method in methods for binding in _bindings(method)]
    if strange := [path for path in (binding["path"] for binding in bindings) if not path.startswith(ROOTS)]:
        raise ValueError(f"gate.lua knows no root of {strange}")
    tables = {
        "named": {binding["method"] + binding["path"]: binding for binding in bindings if "{" not in binding["path"]},
        "bindings": _by_method([binding for binding in bindings if "{" in binding["path"]]),
        "verbs": {binding["verb"]: True for binding in bindings if binding["verb"]},
        "types": _types(files, (method.input_type for method in methods)),
        "unpacked": dict.fromkeys(UNPACKED, True),
        "replies": _replies(),
        "max_header_bytes": header_bounds.EDGE_KIB * 1024,
        "max_headers": header_bounds.EDGE_HEADERS,
        "conversations": dict.fromkeys(conversations, True),
        "refusals": {"headers": _refusal(HEADERS_TOO_LARGE), "framing": _refusal(NOT_ONE_MESSAGE)},
    }
    head = "".join(f"local {name} = {_lua(table)}\n" for name, table in tables.items())
    return head + "\n".join(path.read_text() for path in PROGRAM_PATHS)


def _by_method(bindings: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for binding in bindings:
        found.setdefault(binding["method"], []).append(binding)
    return found


def _refusal(reply: LocalReply) -> dict[str, Any]:
    """Return the headers of a refusal for callers by gRPC, and the headers and the body for others."""
    return {
        "grpc": {":status": "200", "content-type": "application/grpc", **reply.grpc_headers},
        "rest": {":status": str(reply.status), "content-type": "application/json"},
        "text": reply.text,
    }


def _bindings(method: MethodDescriptorProto) -> Iterator[dict[str, Any]]:
    rule = method.options.Extensions[annotations_pb2.http]
    for one in (rule, *rule.additional_bindings):
        yield from _binding(method, one)


def _binding(method: MethodDescriptorProto, rule: http_pb2.HttpRule) -> Iterator[dict[str, Any]]:
    verb = rule.WhichOneof("pattern")
    if verb not in _VERBS:
        return
    path = getattr(rule, verb)
    yield {
        "method": verb.upper(),
        "path": path,
        "pattern": _pattern(path),
        "verb": path.rpartition("/")[2].rpartition(":")[2] if ":" in path.rpartition("/")[2] else "",
        "type": method.input_type.lstrip("."),
        "vars": dict.fromkeys(_VARIABLE.findall(path), True),
        "body": rule.body,
        "strict": not path.startswith(STRANGERS),
        "page": path.startswith(PAGES),
    }


def _pattern(path: str) -> str:
    """Return the Lua pattern of a path template. A variable is one segment."""
    parts = re.split(r"\{[a-z_.]+\}", path)
    return "^" + "[^/]+".join(re.sub(r"([^A-Za-z0-9/])", r"%\1", part) for part in parts) + "$"


def _types(files: FileDescriptorSet, wanted: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the fields of the wanted messages and of all messages in them, by each spelling of their name."""
    messages = dict(_messages(files))
    found: dict[str, dict[str, Any]] = {name: {} for name in TEXTS}
    left = [name.lstrip(".") for name in wanted]
    while left:
        name = left.pop()
        if name in found or name.startswith("google."):
            continue
        found[name] = {}
        for field in messages[name].field:
            inner = _inner(field, messages)
            spelled = {"name": field.name, "list": field.label == FieldDescriptorProto.LABEL_REPEATED} | inner
            found[name] |= {field.name: spelled, field.json_name: spelled}
            left += inner.values()
    return found


def _inner(field: FieldDescriptorProto, messages: dict[str, DescriptorProto]) -> dict[str, str]:
    """Return the message type whose names the field's JSON has. Google's other types and maps have no fixed names."""
    name = field.type_name.lstrip(".")
    if name in TEXTS:
        return {"type": name}
    is_message = field.type == FieldDescriptorProto.TYPE_MESSAGE and not name.startswith("google.")
    return {"type": name} if is_message and not messages[name].options.map_entry else {}


def _messages(files: FileDescriptorSet) -> Iterator[tuple[str, DescriptorProto]]:
    for file in files.file:
        for message in file.message_type:
            yield from _nested(f"{file.package}.{message.name}", message)


def _nested(name: str, message: DescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
    yield name, message
    for inner in message.nested_type:
        yield from _nested(f"{name}.{inner.name}", inner)


def _replies() -> dict[str, dict[str, str]]:
    """Return the gate's answers. `@name@` and `@description@` stand for the field and its fault."""
    by_status = {reply.status: reply for reply in LOCAL_REPLIES}
    unknown, fault = by_status[404], by_status[500]
    violations = [{"field": "@name@", "description": "@description@"}]
    return {
        "field": _reply(
            400,
            "FIELD_INVALID",
            "The field @name@ @description@.",
            {"@type": _BAD_REQUEST, "fieldViolations": violations},
        ),
        "encoding": _reply(
            415, "FIELD_INVALID", "The body has a content-encoding that this path does not take. Send it without one."
        ),
        "unknown": _reply(unknown.status, unknown.reason, unknown.message, code=unknown.code),
        "fault": _reply(fault.status, fault.reason, fault.message, code=fault.code),
        "page": {"status": "400", "content_type": "text/html; charset=utf-8", "text": _PAGE},
    }


def _reply(
    status: int, reason: str, message: str, *more: dict[str, Any], code: int = code_pb2.INVALID_ARGUMENT
) -> dict[str, str]:
    info = {"@type": ERROR_INFO, "reason": reason, "domain": DOMAIN, "metadata": {}}
    text = json.dumps({"code": code, "message": message, "details": [info, *more]})
    return {"status": str(status), "content_type": "application/json", "text": text}


def _lua(value: Any) -> str:
    """Write a value as a Lua literal."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case dict():
            return "{" + ", ".join(f"[{_lua(key)}] = {_lua(one)}" for key, one in value.items()) + "}"
        case list():
            return "{" + ", ".join(map(_lua, value)) + "}"
        case str() if value.isascii() and value.isprintable():
            return json.dumps(value)
        case _:
            raise TypeError(f"not a value of the gate: {value!r}")
