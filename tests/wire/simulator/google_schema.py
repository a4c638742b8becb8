"""Holds the simulated Gmail's and Calendar's answers against the discovery documents in Google's client."""

import base64
import email
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient

_DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
_PREFIX = re.compile(r"^https?://[^/]+(?:/(?:resumable/)?upload)?/")
_BATCH = re.compile(r"batch(?:/gmail/v1)?")
_NUMBER = re.compile(r"-?\d+")


@cache
def document(name: str) -> dict[str, Any]:
    """A discovery document, e.g. `gmail.v1`."""
    return dict(json.loads((_DOCUMENTS / f"{name}.json").read_text()))


@cache
def _methods(name: str) -> tuple[tuple[str, re.Pattern[str], str], ...]:
    """Verb, path and schema of the answer of each method of an API."""
    found: list[tuple[str, re.Pattern[str], str]] = []
    service = document(name)["servicePath"]

    def walk(resources: dict[str, Any]) -> None:
        for resource in resources.values():
            for method in resource.get("methods", {}).values():
                path = service + re.sub(r"\{\+?\w+\}", "[^/]+", method.get("flatPath", method["path"]))
                found.append((method["httpMethod"], re.compile(path), method.get("response", {}).get("$ref", "")))
            walk(resource.get("resources", {}))

    walk(document(name)["resources"])
    # A path without variables goes before one that fits anything: messages/send before messages/{id}.
    return tuple(sorted(found, key=lambda one: one[1].pattern.count("[")))


def check_answer(method: str, url: str, status: int, content: bytes, asked: bytes = b"") -> None:
    """Asserts that an answer is what the API's document says; errors must have Google's error object."""
    path = _PREFIX.sub("", url).partition("?")[0]
    if _BATCH.fullmatch(path) and status == 200:
        _check_batch(asked, content)
        return
    if status >= 400:
        error = json.loads(content)["error"]
        assert {"code", "message", "errors", "status"} == set(error)
        assert status == error["code"]
        assert all({"message", "domain", "reason"} <= set(one) for one in error["errors"])
        return
    names = {"calendar": "calendar.v3", "admin": "admin.directory_v1"}
    name = names.get(path.partition("/")[0], "gmail.v1")
    known = [schema for verb, pattern, schema in _methods(name) if verb == method and pattern.fullmatch(path)]
    if not known or status == 308 or not content:
        assert not known or status in {204, 308} or "uploadType" in url, (
            f"{method} {path} answers {status} without a body"
        )
        return
    assert known[0], f"{method} {path} has no body at Google"
    check(name, {"$ref": known[0]}, json.loads(content), known[0])


def _check_batch(asked: bytes, content: bytes) -> None:
    """Asserts that each answer of a batch is one to a request, and is what that request would get alone."""
    requests, answers = _parts(asked), _parts(content)
    assert {f"response-{name}" for name in requests} >= set(answers)
    for name, answer in answers.items():
        verb, url, _ = requests[name.removeprefix("response-")].split(None, 2)
        head, _, body = answer.replace("\r\n", "\n").partition("\n\n")
        check_answer(verb, f"https://gmail{url}", int(head.split()[1]), body.strip().encode())


def _parts(body: bytes) -> dict[str, str]:
    """The parts of a batch by their Content-ID."""
    mark = body.split(b"\n", 1)[0].strip()[2:].decode()
    whole = email.message_from_bytes(f"Content-Type: multipart/mixed; boundary={mark}\n\n".encode() + body)
    parts = [part for part in whole.walk() if part.get_content_type() == "application/http"]
    return {str(part["Content-ID"]).strip("<>"): str(part.get_payload()) for part in parts}


def check(name: str, schema: dict[str, Any], value: Any, where: str) -> None:
    """Asserts that a value fits a schema of a discovery document, with no property that this does not know."""
    if "$ref" in schema:
        check(name, document(name)["schemas"][schema["$ref"]], value, where)
        return
    kind = schema.get("type", "any")
    if kind == "object":
        assert isinstance(value, dict), f"{where} is no object"
        properties, other = schema.get("properties", {}), schema.get("additionalProperties")
        for key, item in value.items():
            assert key in properties or other, f"{where} has no {key} at Google"
            check(name, properties.get(key, other), item, f"{where}.{key}")
    elif kind == "array":
        assert isinstance(value, list), f"{where} is no list"
        for at, item in enumerate(value):
            check(name, schema["items"], item, f"{where}[{at}]")
    else:
        _check_scalar(schema, value, where)


def _check_scalar(schema: dict[str, Any], value: Any, where: str) -> None:
    kinds = {"string": str, "integer": int, "boolean": bool, "number": (int, float)}
    assert isinstance(value, kinds.get(schema["type"], object)), f"{where} is no {schema['type']}: {value!r}"
    if schema.get("format") in {"int64", "uint64"}:
        assert _NUMBER.fullmatch(value), f"{where} is no number in text: {value!r}"
    if schema.get("format") == "byte":
        base64.b64decode(value, altchars=b"-_", validate=True)
    if "enum" in schema:
        assert value in schema["enum"], f"{where} is none of {schema['enum']}: {value!r}"
