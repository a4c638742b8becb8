"""Requests on both sides of every bound that the OpenAPI document states, for the test that sends them."""

import uuid
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.factories.app_credentials import client_certificate, service_account_key
from tests.factories.receivers import self_signed

JSON = Any
Schemas = dict[str, JSON]
_CERTIFICATE, _KEY = self_signed("mesh.example.com")
_RSA_CERTIFICATE, _RSA_KEY = client_certificate("mesh.example.com")
_UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
# A value that each pattern takes, because a pattern does not show one.
MATCHING = {
    r"^[a-z0-9_.]{0,100}$": "token.issue",
    r"^(displayName|\*)?$": "displayName",
    r"^[Xx]-[A-Za-z0-9-]{1,58}$": "X-Order",
    r"^(\*|[a-zA-Z]+(,[a-zA-Z]+)*)?$": "displayName",
    r"^https?://[!-~]{1,2040}$": "https://receiver.example.com/hooks",
    r"^([1-9]|[12][0-9]|30)s$": "15s",
    r"^[1-9][0-9]{0,4}s$": "3600s",
    r"^(mail|send|tenant|calendar|conversation)\.[a-z_.*]{1,90}$": "mail.created",
    r"^-----BEGIN CERTIFICATE-----[ -~\r\n]{1,32000}$": _CERTIFICATE,
    r"^-----BEGIN ([A-Z]+ )?PRIVATE KEY-----[ -~\r\n]{1,16000}$": _KEY,
    r"^-----BEGIN CERTIFICATE-----[ -~\r\n]{1,16300}$": _RSA_CERTIFICATE,
    r"^-----BEGIN ([A-Z]+ )?PRIVATE KEY-----[ -~\r\n]{1,16300}$": _RSA_KEY,
    r"^\s*[{]": service_account_key(),
    rf"^({_UUID}|C[0-9A-Za-z]{{2,40}})$": "C03az79cb",
    rf"^({_UUID}|[0-9]{{1,40}})$": "103147483648907483648",
    r"^[0-9]{1,18}$": "1",
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2})?)?$": "2026-12-07T09:00:00",
    r"^[1-9][0-9]{0,17}$": "1",
    r"^[A-Za-z0-9+/_=-]+$": "aGVsbG8=",
    r"^[^@]+@[^@]+$": "ada@example.com",
    r"^([^@]+@[^@]+)?$": "ada@example.com",
    r'^[\[{"0-9tfn-]': "true",
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$": "2026-12-01T09:00:00",
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$": "2026-12-24",
    r"^[A-Za-z0-9/_+-]{1,100}$": "Europe/Berlin",
    r"^([A-Za-z0-9/_+-]{1,100})?$": "Europe/Berlin",
}
# Messages whose fields are required only together.
WHOLE: dict[str, JSON] = {
    "microsoftCertificate": {"certificatePem": _RSA_CERTIFICATE, "privateKeyPem": _RSA_KEY},
    "clientCertificate": {"certificate": _CERTIFICATE, "key": _KEY},
    "clientCredentials": {"tokenUrl": "https://id.example.com/token", "clientId": "mesh", "clientSecret": "word"},
}
# Times in requests lie ahead, and not by more than a month.
_TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
# No header may be longer than this together with the others, so longer filters go into a body.
MAX_QUERY_CHARACTERS = 4000


@dataclass(frozen=True)
class Case:
    """One value for one parameter or field of an operation, and whether the document permits it."""

    place: tuple[str, ...]
    value: JSON
    is_permitted: bool


@dataclass
class Request:
    """A request: the variables of its path, its query, and its body (None: no body)."""

    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, JSON] = field(default_factory=dict)
    body: JSON = None


def values(schema: JSON, schemas: Schemas, *, is_required: bool) -> Iterator[tuple[tuple[str, ...], JSON, bool]]:
    """Yield the place below a schema, a value, and whether it is permitted, on both sides of each of its bounds."""
    schema = resolved(schema, schemas)
    match schema["type"]:
        case "object":
            yield from _object_values(schema, schemas)
        case "array":
            yield from _array_values(schema, schemas, is_required=is_required)
        case "integer":
            yield from (((), schema[bound], True) for bound in ("minimum", "maximum") if bound in schema)
            yield from (((), schema[bound] + step, False) for bound, step in _STEPS.items() if bound in schema)
        case "boolean":
            yield from (((), True, True), ((), "perhaps", False))
        case "string":
            yield from (((), value, is_in) for value, is_in in _string_values(schema, is_required=is_required))


_STEPS = {"minimum": -1, "maximum": 1}


def resolved(schema: JSON, schemas: Schemas) -> JSON:
    """Return the schema that a reference stands for."""
    inner = schema.get("allOf", [schema])[0]
    return schemas[inner["$ref"].rpartition("/")[2]] if "$ref" in inner else schema


def _object_values(schema: JSON, schemas: Schemas) -> Iterator[tuple[tuple[str, ...], JSON, bool]]:
    for name, part in schema.get("properties", {}).items():
        is_required = name in schema.get("required", [])
        for place, value, is_in in values(part, schemas, is_required=is_required):
            yield (name, *place), value, is_in


def _array_values(schema: JSON, schemas: Schemas, *, is_required: bool) -> Iterator[tuple[tuple[str, ...], JSON, bool]]:
    items = resolved(schema["items"], schemas)
    if items["type"] != "object":
        for _, value, is_in in values(items, schemas, is_required=True):
            yield (), [value], is_in
    if "maxItems" in schema:
        yield (), _many(items, schemas, schema["maxItems"]), True
        yield (), _many(items, schemas, schema["maxItems"] + 1), False
    if is_required:
        yield (), [], False


def _many(items: JSON, schemas: Schemas, count: int) -> list[JSON]:
    """Return permitted values; ids and required names differ, because the services count each once."""
    if items.get("format") == "uuid":
        return [str(uuid.UUID(int=number)) for number in range(1, count + 1)]
    if "name" in items.get("required", []):
        return [sample(items, schemas) | {"name": str(number)} for number in range(count)]
    return [sample(items, schemas)] * count


def _string_values(schema: JSON, *, is_required: bool) -> Iterator[tuple[str, bool]]:
    yield sample(schema, {}), True
    if "maxLength" in schema:
        yield "x" * schema["maxLength"], True
        yield "x" * (schema["maxLength"] + 1), False
    if "enum" in schema:
        yield from ((value, True) for value in schema["enum"])
    if "pattern" in schema or "enum" in schema or schema.get("format") in {"uuid", "date-time"}:
        yield "~", False
    # An empty text that is not required is one that was left out.
    if is_required and schema.get("minLength", 0):
        yield "", False


def sample(schema: JSON, schemas: Schemas) -> JSON:
    """Return a value that a schema permits, with the required fields alone."""
    schema = resolved(schema, schemas)
    match schema["type"]:
        case "object":
            return {name: sample(schema["properties"][name], schemas) for name in schema.get("required", [])}
        case "array":
            return [sample(schema["items"], schemas)]
        case "integer":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    formats = {"uuid": str(uuid.UUID(int=7)), "date-time": _TOMORROW}
    known = MATCHING.get(schema.get("pattern", "")) or formats.get(schema.get("format", ""))
    return known or schema.get("enum", ["x"])[-1]


def base(operation: JSON, schemas: Schemas) -> Request:
    """Return a request with the required parameters and fields alone."""
    request = Request()
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path" or parameter.get("required", False):
            place = request.path if parameter["in"] == "path" else request.query
            place[parameter["name"]] = sample(parameter["schema"], schemas)
    if "requestBody" in operation:
        request.body = sample(operation["requestBody"]["content"]["application/json"]["schema"], schemas)
    return request


def cases(operation: JSON, schemas: Schemas) -> Iterator[Case]:
    """Yield the cases of an operation's parameters and of its body's fields."""
    for parameter in operation.get("parameters", []):
        required = parameter.get("required", False)
        for _, value, is_in in values(parameter["schema"], schemas, is_required=required):
            if len(str(value)) < MAX_QUERY_CHARACTERS:
                yield Case((parameter["in"], parameter["name"]), value, is_in)
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        for place, value, is_in in values(body, schemas, is_required=False):
            yield Case(("body", *place), value, is_in)
        for name in resolved(body, schemas).get("required", []):
            yield Case(("body", name), None, is_permitted=False)


def applied(request: Request, case: Case) -> Request:
    """Return the request with the value of a case at its place; None leaves the field out."""
    changed = deepcopy(request)
    kind, *path, name = case.place
    if path and path[0] in WHOLE:
        changed.body |= deepcopy({path[0]: WHOLE[path[0]]})
    holder: JSON = getattr(changed, kind)
    for part in path:
        holder = holder.setdefault(part, {})
    holder[name] = case.value
    if case.value is None:
        del holder[name]
    return changed
