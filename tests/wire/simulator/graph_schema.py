"""Holds the simulated Graph's answers against the models of Microsoft's SDK."""

import base64
import json
import re
from functools import cache
from typing import Any

from simulator.microsoft.filters import parse_time
from tests.wire.simulator.graph_models import PATH

_COLLECTION = frozenset({"@odata.context", "@odata.nextLink", "@odata.deltaLink", "@odata.count", "value"})
_RESOURCES = (
    (r"(?:me|users/[^/]+)(?:/mailFolders[(/][^/]+)?/messages(?:/delta)?", "Message"),
    (r"(?:me|users/[^/]+)(?:/mailFolders[(/][^/]+)?/messages/[^/]+(?:/move)?", "Message"),
    (r"(?:me|users/[^/]+)/messages/[^/]+/attachments(?:/[^/]+)?", "Attachment"),
    (r"(?:me|users/[^/]+)/mailFolders(?:/[^/]+)?(?:/childFolders)?", "MailFolder"),
    (r"subscriptions(?:/[^/]+)?", "Subscription"),
    (r"me|users/[^/]+", "User"),
)
_ENUMS = {
    "Importance": {"low", "normal", "high"},
    "InferenceClassificationType": {"focused", "other"},
    "FollowupFlagStatus": {"notFlagged", "flagged", "complete"},
    "BodyType": {"text", "html"},
}
_KINDS = {"str": str, "bool": bool, "int": int, "bytes": str, "datetime.datetime": str}


@cache
def _models() -> dict[str, dict[str, str]]:
    return dict(json.loads(PATH.read_text()))


def check_answer(method: str, url: str, status: int, content: bytes) -> None:
    """Asserts that an answer of Graph's is what the SDK's models say; what is no JSON, or a batch, is let pass."""
    path = re.sub(r"^https?://[^/]+/graph/v1\.0/", "", url).partition("?")[0]
    if path.endswith(("$value", "$batch", "translateExchangeIds")) or not content:
        return
    body = json.loads(content)
    if status >= 400:
        assert {"error"} == set(body)
        _check("MainError", body["error"], "error")
        return
    name = next((name for pattern, name in _RESOURCES if re.fullmatch(pattern, path)), "")
    assert name, f"{method} {path} has no model in graph_schema"
    if isinstance(body.get("value"), list):
        assert not body.keys() - _COLLECTION, f"{path}: {body.keys() - _COLLECTION}"
        for at, item in enumerate(body["value"]):
            _check(name, item, f"value[{at}]")
    else:
        _check(name, body, name)


def _check(name: str, value: Any, where: str) -> None:
    """Asserts that an object has only properties of a model, each of its type; all of them may be null."""
    assert isinstance(value, dict), f"{where} is no object"
    if name == "Attachment":
        kind = value["@odata.type"].removeprefix("#microsoft.graph.")
        name = kind[0].upper() + kind[1:]
    for key, item in value.items():
        if key.startswith("@"):
            continue
        assert key in _models()[name], f"{where} has no {key} in the SDK's {name}"
        if item is not None:
            _check_type(_models()[name][key], item, f"{where}.{key}")


def _check_type(kind: str, value: Any, where: str) -> None:
    if kind.endswith("[]"):
        assert isinstance(value, list), f"{where} is no list"
        for at, item in enumerate(value):
            _check_type(kind[:-2], item, f"{where}[{at}]")
    elif kind in _ENUMS:
        assert value in _ENUMS[kind], f"{where} is none of {_ENUMS[kind]}: {value!r}"
    elif kind in _KINDS:
        assert isinstance(value, _KINDS[kind]), f"{where} is no {kind}: {value!r}"
        if kind == "bytes":
            base64.b64decode(value, validate=True)
        if kind == "datetime.datetime":
            parse_time(value)
    else:
        _check(kind, value, where)
