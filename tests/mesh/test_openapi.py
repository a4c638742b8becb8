"""The running mesh takes what the OpenAPI document permits, and refuses what it excludes."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.mesh.accounts import connect, new_address
from tests.mesh.openapi_cases import Case, Request, applied, base, cases
from tests.programs.mesh import Mesh
from tools.documents import read_yaml
from tools.generate.protos import ROOT

pytestmark = pytest.mark.timeout(400)
JSON = Any
DOCUMENT: JSON = read_yaml((ROOT / "gen" / "openapi" / "openapi.yaml").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = [
    (path, verb, operation)
    for path, verbs in DOCUMENT["paths"].items()
    for verb, operation in verbs.items()
    if operation.get("security") != []
]
IDS = [operation["operationId"] for _, _, operation in OPERATIONS]
# Google takes labels and Microsoft takes folders.
OF_GOOGLE = "labelIds"


@dataclass(frozen=True)
class Caller:
    """An admin whose key is limited to two tenants of this module, so that no request changes anything else."""

    client: httpx.Client
    unlimited_key: str
    tenants: dict[str, str]

    def status(self, path: str, verb: str, request: Request) -> tuple[int, str]:
        """Sends a request; returns the status and the beginning of the answer, and reads no stream to its end."""
        query = [
            (name, item)
            for name, value in request.query.items()
            for item in (value if isinstance(value, list) else [value])
        ]
        url = httpx.URL(path.format(**request.path), params=[(name, _text(item)) for name, item in query])
        body = {} if request.body is None else {"json": request.body}
        # Limits of a new key are compared with those of the key that asks before they are counted.
        headers = {"authorization": f"Bearer {self.unlimited_key}"} if path == "/v1/api-keys" else {}
        with self.client.stream(verb.upper(), url, headers=headers, **body) as answer:
            is_stream = answer.headers.get("content-type", "").startswith("text/event-stream")
            return answer.status_code, "" if is_stream else answer.read().decode()[:500]


def _text(value: JSON) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module")
def caller(mesh: Mesh) -> Iterator[Caller]:
    tenants = {provider: connect(mesh, provider, new_address(mesh, provider)) for provider in ("ms365", "googlews")}
    limits = [word for tenant in tenants.values() for word in ("--tenant", tenant)]
    made = mesh.run("keys", "create", "bounds", "--role", "admin", *limits)
    assert made.returncode == 0, made.stderr
    headers = {"authorization": f"Bearer {made.stdout.strip()}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=60, trust_env=False) as client:
        yield Caller(client, mesh.key, tenants)


KINDS_OF_MAIL: dict[str, JSON] = {
    "mail": {"to": [{"address": "ada@example.com"}], "text": "Hello"},
    "reply": {"messageId": "one", "text": "Hello"},
    "forward": {"messageId": "one", "to": [{"address": "ada@example.com"}]},
}


# Fields that a request needs beside those that are always required.
TIMED: JSON = {
    "start": {"local": "2026-12-01T08:00:00", "timeZone": "Europe/Berlin"},
    "end": {"local": "2026-12-01T10:00:00", "timeZone": "Europe/Berlin"},
}
ALL_DAY: JSON = {"start": {"date": "2026-12-23"}, "end": {"date": "2026-12-27"}}
_NOW = datetime.now(UTC)
WITH: dict[str, JSON] = {
    "CalendarService_QueryFreeBusy": {
        "windowStart": _NOW.isoformat(timespec="seconds"),
        "windowEnd": (_NOW + timedelta(days=3)).isoformat(timespec="seconds"),
    },
    "PrimitiveService_ExtractFields": {"text": "Hello", "schema": {"type": "object", "properties": {"day": {}}}},
    "PrimitiveService_ClassifyMessage": {"text": "Hello", "labels": [{"name": "offer"}, {"name": "bill"}]},
    "ModelService_ClassifyByModel": {"text": "Hello", "labels": [{"name": "offer"}, {"name": "bill"}]},
    "ModelService_ExtractByModel": {"text": "Hello", "schema": {"type": "object", "properties": {"day": {}}}},
    "ClassificationService_UpdateClassificationSettings": {
        "settings": {"labels": [{"name": "offer"}, {"name": "bill"}]}
    },
    "SendService_UploadAttachment": {"name": "offer.pdf", "sizeBytes": 5},
    "MessageService_SearchMessages": {"query": {"text": "offer"}},
    "MessageService_ModifyMessages": {"change": {"isRead": True}},
    "ConversationService_UpdateConversationSettings": {"settings": {"ownAddresses": ["ada@example.com"]}},
    "ConversationService_LinkConversation": {"externalRef": "T-1"},
    "ProcessorService_ReplayEvents": {"fromCursor": "earliest"},
}


def prepared(operation: JSON, caller: Caller, place: tuple[str, ...] = ()) -> Request:
    """Returns the least request of an operation, on a tenant whose provider has what the place names."""
    request = base(operation, SCHEMAS)
    if "CreateSubscription" in operation["operationId"].split("_"):
        request.body["tenantId"] = caller.tenants["googlews" if OF_GOOGLE in place else "ms365"]
    if operation["operationId"] == "TenantService_UpdateTenant":
        request.body["displayName"] = "a name"
    if operation["operationId"] == "DeadLetterService_RetryDeadLetters" and "deadLetterIds" not in place:
        request.body = {"filter": {}}
    if operation["operationId"] == "SendService_Send":
        kind = next((name for name in ("reply", "forward") if name in place), "mail")
        request.body[kind] = deepcopy(KINDS_OF_MAIL[kind])
        if {"conversationId", "expectedVersion"} & set(place):  # they go together
            request.body["reply"] |= {"conversationId": "00000000-0000-0000-0000-000000000007", "expectedVersion": "1"}
        if "from" in place:
            request.body["from"] = {"address": "ada@example.com"}
    if operation["operationId"] in ("CalendarService_CreateCalendarEvent", "CalendarService_UpdateCalendarEvent"):
        request.body["event"] = deepcopy(ALL_DAY if "date" in place else TIMED)
    if operation["operationId"] in WITH:
        request.body |= deepcopy(WITH[operation["operationId"]])
    return request


def fault(case: Case, status: int, answer: str) -> str | None:
    """Returns how an answer contradicts the document, if it does."""
    told = f"{case.place} = {str(case.value)[:60]!r}: {status} {answer}"
    if case.is_permitted:
        # Another state of the mesh may refuse it, with a reason of its own.
        is_refused = status >= 500 or (status == 400 and ("FIELD_INVALID" in answer or '"reason"' not in answer))
        return f"permitted, and refused: {told}" if is_refused else None
    return None if status == 400 else f"excluded, and not refused with 400: {told}"


@pytest.mark.parametrize(("path", "verb", "operation"), OPERATIONS, ids=IDS)
def test_values_within_bounds_are_taken_and_those_beyond_are_refused(
    path: str, verb: str, operation: JSON, caller: Caller
) -> None:
    faults = []
    for case in cases(operation, SCHEMAS):
        request = applied(prepared(operation, caller, case.place), case)
        found = fault(case, *caller.status(path, verb, request))
        faults += [found] if found else []

    assert faults == []


@pytest.mark.parametrize(("path", "verb", "operation"), OPERATIONS, ids=IDS)
def test_a_body_may_be_left_out_exactly_if_the_document_says_so(
    path: str, verb: str, operation: JSON, caller: Caller
) -> None:
    request = prepared(operation, caller)
    request.body = None
    is_required = operation.get("requestBody", {}).get("required", False)

    assert fault(Case(("body",), None, not is_required), *caller.status(path, verb, request)) is None


def test_every_bound_of_the_table_is_tried() -> None:
    tried = {case.place[-1] for _, _, operation in OPERATIONS for case in cases(operation, SCHEMAS)}

    assert {"displayName", "note", "pageSize", "filter.tenantIds", "tenantIds", "labelIds", "requests", "role"} <= tried
