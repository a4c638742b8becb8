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
    (
        r"(?:me|users/[^/]+)(?:/mailFolders[(/][^/]+)?/messages/[^/]+(?:/(?:move|copy|create(?:Reply|ReplyAll|Forward)))?",
        "Message",
    ),
    (r"(?:me|users/[^/]+)/messages/[^/]+/attachments/createUploadSession|.*/attachmentSessions/[^/]+", "UploadSession"),
    (r"(?:me|users/[^/]+)/messages/[^/]+/attachments(?:/[^/]+)?", "Attachment"),
    (r"(?:me|users/[^/]+)/mailFolders(?:[(/][^/]+)?(?:/childFolders(?:/[^/]+)?)?(?:/move|/copy)?", "MailFolder"),
    (r"(?:me|users/[^/]+)/calendars(?:/[^/]+)?", "Calendar"),
    (r"(?:me|users/[^/]+)/calendars/[^/]+/events(?:/[^/]+)?(?:/instances)?", "Event"),
    (r"(?:me|users/[^/]+)/calendar/getSchedule", "ScheduleInformation"),
    (r"(?:me|users/[^/]+)/translateExchangeIds", "ConvertIdResult"),
    (r"subscriptions(?:/[^/]+)?", "Subscription"),
    (r"me|users/[^/]+", "User"),
)
_ENUMS = {
    "Importance": {"low", "normal", "high"},
    "InferenceClassificationType": {"focused", "other"},
    "FollowupFlagStatus": {"notFlagged", "flagged", "complete"},
    "BodyType": {"text", "html"},
    "EventType": {"singleInstance", "occurrence", "exception", "seriesMaster"},
    "FreeBusyStatus": {"unknown", "free", "tentative", "busy", "oof", "workingElsewhere"},
    "Sensitivity": {"normal", "personal", "private", "confidential"},
    "ResponseType": {"none", "organizer", "tentativelyAccepted", "accepted", "declined", "notResponded"},
    "AttendeeType": {"required", "optional", "resource"},
    "OnlineMeetingProviderType": {"unknown", "skypeForBusiness", "skypeForConsumer", "teamsForBusiness"},
    "CalendarColor": {"auto", "lightBlue", "lightGreen"},
    "LocationType": {"default", "conferenceRoom"},
    "RecurrencePatternType": {
        "daily",
        "weekly",
        "absoluteMonthly",
        "relativeMonthly",
        "absoluteYearly",
        "relativeYearly",
    },
    "RecurrenceRangeType": {"endDate", "noEnd", "numbered"},
    "DayOfWeek": {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"},
    "WeekIndex": {"first", "second", "third", "fourth", "last"},
}
_KINDS = {
    "str": str,
    "bool": bool,
    "int": int,
    "bytes": str,
    "datetime.datetime": str,
    "datetime.date": str,
    "datetime.time": str,
}


@cache
def _models() -> dict[str, dict[str, str]]:
    return dict(json.loads(PATH.read_text()))


def check_answer(method: str, url: str, status: int, content: bytes, asked: bytes = b"") -> None:
    """Asserts that an answer of Graph's is what the SDK's models say; bytes of mails and files are let pass."""
    path = re.sub(r"^https?://[^/]+/graph/v1\.0/", "", url).partition("?")[0]
    if path.endswith("$value") or not content:
        return
    body = json.loads(content)
    if status >= 400:
        assert {"error"} == set(body)
        _check("MainError", body["error"], "error")
        return
    if path == "$batch":
        _check_batch(json.loads(asked)["requests"], body)
        return
    name = next((name for pattern, name in _RESOURCES if re.fullmatch(pattern, path)), "")
    assert name, f"{method} {path} has no model in graph_schema"
    if isinstance(body.get("value"), list):
        assert not body.keys() - _COLLECTION, f"{path}: {body.keys() - _COLLECTION}"
        for at, item in enumerate(body["value"]):
            _check(name, item, f"value[{at}]")
    else:
        _check(name, body, name)


def _check_batch(asked: list[dict[str, Any]], body: dict[str, Any]) -> None:
    """Asserts that each answer of a batch is one to a request, and is what that request would get alone."""
    requests = {str(one["id"]): one for one in asked}
    assert {"responses"} == set(body)
    assert len(body["responses"]) == len({one["id"] for one in body["responses"]})
    for one in body["responses"]:
        assert {"id", "status", "headers"} <= set(one) <= {"id", "status", "headers", "body"}
        assert all(isinstance(value, str) for value in one["headers"].values())
        inner, request = one.get("body"), requests[one["id"]]
        if isinstance(inner, dict):
            content = json.dumps(inner).encode()
            check_answer(request["method"], request["url"].lstrip("/"), one["status"], content)
        elif inner is not None:
            base64.b64decode(inner, validate=True)


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
