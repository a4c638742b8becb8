"""Adds facts that the OpenAPI generator cannot know: permitted callers, bounds, bodies other than JSON, and statuses.

Doors and roles come from the contract's options. This module states only the statuses of bodies other than JSON,
which the contract states in prose.
"""

import re
from collections.abc import Iterator
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf import descriptor, descriptor_pool

from mailmesh.access.v1 import access_pb2
from tools.generate import openapi_bounds, protos

JSON = Any
_VERBS = ("get", "put", "post", "patch", "delete")
_BODY = "google.api.HttpBody"
_REF = "#/components/schemas/"
_FAILURE = {"$ref": "#/components/responses/Failure"}
_LICENSE = {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}
# Requests without a field that is always required, which are refused when they are empty.
_NEEDS_CONTENT = frozenset({"AddAppCredential", "ReplayEvents", "RetryDeadLetters"})

# RPCs that answer with raw bytes: each status, its meaning, and the media type if there is a body.
_RAW_ANSWERS: dict[str, dict[str, tuple[str, str | None]]] = {
    "OpenAuthorization": {
        "200": ("A page with a button that goes on to the provider, and a cookie.", "text/html"),
        "400": ("A page: the ticket is spent, expired or unknown.", "text/html"),
    },
    "ConfirmAuthorization": {
        "303": ("On to the provider, with a cookie that binds the flow to this browser.", None),
        "400": ("A page: the ticket is spent, expired or unknown, or the cookie of the page is missing.", "text/html"),
    },
    "CompleteAuthorization": {"302": ("On to the page that says how it went.", None)},
    "StartSignIn": {
        "302": ("On to the identity provider, with a cookie that binds the sign-in to this browser.", None),
        "400": ("A page: no identity provider is set, or it does not answer.", "text/html"),
    },
    "CompleteSignIn": {
        "303": ("On to the console, with the cookie of a session.", None),
        "400": ("A page that says why the person is not signed in.", "text/html"),
    },
    "GetProtectedResource": {"200": ("The metadata of RFC 9728.", "application/json")},
    "ShowAuthorizationResult": {"200": ("A page that says how it went.", "text/html")},
    "ReceiveGraphNotifications": {
        "200": ("The validation token, decoded.", "text/plain"),
        "202": ("Committed. What was forged or unknown was dropped without a hint.", None),
    },
    "ReceiveGraphLifecycle": {
        "200": ("The validation token, decoded.", "text/plain"),
        "202": ("Committed. What was forged or unknown was dropped without a hint.", None),
    },
    "ReceiveGmailPush": {"204": ("Committed.", None)},
    "ReceiveCalendarPush": {"204": ("Committed. What was forged or unknown was dropped without a hint.", None)},
    "GetAttachment": {"200": ("The content, from the offset on.", "*/*")},
    "GetRawMessage": {"200": ("The mail in MIME, from the offset on.", "message/rfc822")},
    "TailEvents": {"200": ("Server-sent events; each `id:` is the cursor to go on from.", "text/event-stream")},
}

_ABOUT = """\
Every change in any number of mailboxes, Microsoft 365 and Google Workspace, as one typed event.

Names are lowerCamelCase, 64-bit numbers are strings, times are RFC 3339 in UTC. A failure is a `google.rpc.Status`
whose details hold a `google.rpc.ErrorInfo`; docs/reference/errors.md lists its reasons."""


def finish(document: JSON, pool: descriptor_pool.DescriptorPool) -> JSON:
    """Return the document with the facts that only the contract contains.

    Args:
        document: The generator's output.
        pool: The contract.

    Raises:
        protos.GenerationError: An operation that answers with bytes has no statuses here.
    """
    methods = {f"{method.containing_service.name}_{method.name}": method for method in _methods(pool)}
    for operation in _operations(document):
        _finish_operation(operation, methods[operation["operationId"]])
    _drop_path_fields(document)
    for operation in _operations(document):
        _bind_request(document, operation, methods[operation["operationId"]])
    _number_operations(document)
    head = {
        "openapi": document["openapi"],
        "info": {"title": "mailmesh", "version": "v1", "description": _ABOUT, "license": _LICENSE},
        "servers": [{"url": "/"}],
        "security": [{"apiKey": []}],
        "tags": document["tags"],
        "paths": document["paths"],
    }
    _tidy(document)
    return {**head, "components": _components(document)}


def _methods(pool: descriptor_pool.DescriptorPool) -> Iterator[descriptor.MethodDescriptor]:
    for name in protos.contract_files():
        for service in pool.FindFileByName(name).services_by_name.values():
            yield from service.methods


def _operations(document: JSON) -> Iterator[JSON]:
    for verbs in document["paths"].values():
        yield from (verbs[verb] for verb in _VERBS if verb in verbs)


def _finish_operation(operation: JSON, method: descriptor.MethodDescriptor) -> None:
    door = method.containing_service.GetOptions().Extensions[access_pb2.door]
    if door == access_pb2.DOOR_OPEN:
        operation["security"] = []
    else:
        role = method.GetOptions().Extensions[access_pb2.minimum_role]
        operation["x-minimum-role"] = access_pb2.Role.Name(role).removeprefix("ROLE_").lower()
        ability = method.GetOptions().Extensions[access_pb2.ability]
        if ability:
            operation["x-ability"] = ability
    operation["summary"] = _summary(operation["description"], method.name)
    if _has_bytes(method.input_type):
        _take_raw_body(operation)
    if _has_bytes(method.output_type):
        operation["responses"] = _raw_responses(method.name)
    operation["responses"] |= {"4XX": _FAILURE, "default": _FAILURE}


def _summary(description: str, name: str) -> str:
    """Return the first sentence of an RPC's comment, without the RPC's name before it and the full stop after it."""
    sentence = re.split(r"\.(?:\s|$)|:\s", " ".join(description.split()), maxsplit=1)[0].removeprefix(f"{name} ")
    return sentence[0].upper() + sentence[1:]


def _bind_request(document: JSON, operation: JSON, method: descriptor.MethodDescriptor) -> None:
    """Add the bounds of parameters and of the body's fields, and say whether the body may be left out."""
    for parameter in operation.get("parameters", []):
        field = openapi_bounds.field_at(method.input_type, parameter["name"])
        if field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]:
            parameter["required"] = True  # the generator marks those of the path alone
        openapi_bounds.bind(parameter["schema"], field, is_required=parameter.get("required", False))
    body = operation.get("requestBody")
    if body and "application/json" in body["content"]:
        name = body["content"]["application/json"]["schema"]["$ref"].removeprefix(_REF)
        _bind_schema(document["components"]["schemas"], name, method.input_type)
        required = document["components"]["schemas"][name].get("required")
        body["required"] = bool(required) or method.name in _NEEDS_CONTENT


def _bind_schema(schemas: JSON, name: str, message: descriptor.Descriptor) -> None:
    schema = schemas[name]
    for field in message.fields:
        part = schema["properties"].get(field.json_name)
        if part is not None:
            openapi_bounds.bind(part, field, is_required=field.json_name in schema.get("required", []))
            if field.message_type and field.message_type.name in schemas:
                _bind_schema(schemas, field.message_type.name, field.message_type)


def _has_bytes(message: descriptor.Descriptor) -> bool:
    fields = (field.message_type.full_name for field in message.fields if field.message_type)
    return message.full_name == _BODY or _BODY in fields


def _take_raw_body(operation: JSON) -> None:
    """Declare a raw body, which the generator turned into query parameters or a string."""
    kept = [item for item in operation.get("parameters", []) if not item["name"].startswith("payload.")]
    operation["parameters"] = kept
    if not kept:
        del operation["parameters"]
    if "requestBody" in operation:
        operation["requestBody"]["content"] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}


def _raw_responses(method: str) -> JSON:
    if method not in _RAW_ANSWERS:
        raise protos.GenerationError(f"{method} answers with bytes: say its statuses in openapi_finish.py")
    return {status: _raw_response(*answer) for status, answer in _RAW_ANSWERS[method].items()}


def _raw_response(description: str, media_type: str | None) -> JSON:
    content = {"content": {media_type: {"schema": {"type": "string"}}}} if media_type else {}
    return {"description": description, **content}


def _drop_path_fields(document: JSON) -> None:
    """Remove the fields that the path binds from the bodies, where the generator lists them as required."""
    for operation in _operations(document):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        bound = {item["name"] for item in operation.get("parameters", []) if item["in"] == "path"}
        if body and bound:
            schema = document["components"]["schemas"][body["schema"]["$ref"].removeprefix(_REF)]
            schema["properties"] = {name: value for name, value in schema["properties"].items() if name not in bound}
            schema["required"] = [name for name in schema.get("required", []) if name not in bound]
            if not schema["required"]:
                del schema["required"]


def _number_operations(document: JSON) -> None:
    """Give the further paths of an RPC ids of their own, because ids are unique."""
    seen: dict[str, int] = {}
    main_first = sorted(document["paths"].items(), key=lambda item: not item[0].startswith("/v1/"))
    for _, verbs in main_first:
        for verb in (verb for verb in _VERBS if verb in verbs):
            name = verbs[verb]["operationId"]
            seen[name] = seen.get(name, 0) + 1
            verbs[verb]["operationId"] = name if seen[name] == 1 else f"{name}_{seen[name]}"


def _tidy(node: JSON) -> None:
    """Remove the space that the generator leaves at the beginning of each line of a comment."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if key == "description" and isinstance(value, str):
            node[key] = "\n".join(line.strip() for line in value.splitlines())
        elif isinstance(value, dict | list):
            _tidy(value)


def _components(document: JSON) -> JSON:
    schemas = document["components"]["schemas"]
    failure = {
        "description": "The call failed. `details` holds a `google.rpc.ErrorInfo` with the reason.",
        "content": {"application/json": {"schema": {"$ref": f"{_REF}Status"}}},
    }
    used = _reachable(schemas, {*_references(document["paths"]), "Status"})
    return {
        "securitySchemes": {
            "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key of this installation."}
        },
        "responses": {"Failure": failure},
        "schemas": {name: schemas[name] for name in sorted(used)},
    }


def _reachable(schemas: JSON, names: set[str]) -> set[str]:
    found: set[str] = set()
    while names:
        found |= names
        names = {name for known in names for name in _references(schemas[known])} - found
    return found


def _references(node: JSON) -> Iterator[str]:
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if key == "$ref" and value.startswith(_REF):
            yield value.removeprefix(_REF)
        elif isinstance(value, dict | list):
            yield from _references(value)
