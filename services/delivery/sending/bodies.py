"""The bodies of webhooks: `type`, `timestamp` and `data`, as Standard Webhooks recommends."""

import json
from functools import cache
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import MessageToDict

from mailmesh.calendar.v1 import event_pb2 as calendar_pb2
from mailmesh.conversation.v1 import event_pb2 as conversation_pb2
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import event_pb2
from services.delivery.store.rows import Delivery, EndpointRow

Content: TypeAlias = (
    mail_pb2.NormalizedMailEvent
    | event_pb2.TenantEvent
    | event_pb2.SendEvent
    | calendar_pb2.NormalizedCalendarEvent
    | conversation_pb2.ConversationEvent
    | event_pb2.WorkflowEvent
)
_IDS = (
    "eventId", "tenantId", "provider", "messageId", "sendId", "calendarEventId", "calendarWriteId", "runId",
    "workflow", "subjectEventId", "isReplay",
)  # fmt: skip
TEST_TYPE = "endpoint.test"


def content_of(event: event_pb2.Event) -> Content:
    """Return the content of an event, of any kind."""
    content: Content = getattr(event, event.WhichOneof("kind") or "tenant")
    return content


def delivery_of(event: event_pb2.Event) -> Delivery:
    """Return the delivery of an event, with its thin body: ids, and the path at which the rest can be read."""
    content = content_of(event)
    data = {name: getattr(content, field) for name, field in _ids_of(content.DESCRIPTOR)}
    if isinstance(content, conversation_pb2.ConversationEvent):
        data["conversationId"] = content.conversation.conversation_id
    if isinstance(content, calendar_pb2.NormalizedCalendarEvent):
        data["calendarId"] = content.calendar.calendar_id
    data["href"] = f"/v1/events/{content.event_id}"
    received_at = content.received_at.ToJsonString() if content.HasField("received_at") else ""
    body = _body(content.event_type, received_at, data)
    return Delivery(content.event_id, content.tenant_id, content.event_type, _order_key(content), body)


def full_body(event: event_pb2.Event) -> bytes:
    """Return the body that holds the whole event, in the JSON form of the contract."""
    known: dict[str, Any] = MessageToDict(content_of(event), always_print_fields_with_no_presence=True)
    return _body(known["eventType"], known.get("receivedAt", ""), known)


def test_body(row: EndpointRow, now: str) -> bytes:
    """Return the body of a test."""
    data = {"endpointId": row.endpoint_id}
    return json.dumps({"type": TEST_TYPE, "timestamp": now, "data": data}, ensure_ascii=False).encode()


def matches(row: EndpointRow, event: event_pb2.Event) -> bool:
    """Tell whether an endpoint may want an event. Processor applies the same filter again when the event is read."""
    content = content_of(event)
    kind = content.event_type.partition(".")[0]
    return (
        row.covers(content.tenant_id)
        and (not row.providers or content.provider in row.providers)
        and (content.event_type in row.event_types or f"{kind}.*" in row.event_types)
    )


@cache
def _ids_of(kind: Descriptor) -> tuple[tuple[str, str], ...]:
    """Return the names of a kind's ids: in JSON, and of the field. There are as many entries as kinds of events.

    A thin body needs none of the other fields, and a mail has hundreds of them.
    """
    fields = {field.json_name: field.name for field in kind.fields}
    return tuple((name, fields[name]) for name in _IDS if name in fields)


def _body(event_type: str, received_at: str, data: dict[str, Any]) -> bytes:
    body = {"type": event_type, "timestamp": received_at, "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _order_key(content: Content) -> str:
    """Return what the order holds for: a message, send, calendar (event), conversation or run, else the tenant."""
    if isinstance(content, mail_pb2.NormalizedMailEvent) and content.message_id:
        return f"{content.tenant_id}/{content.message_id}"
    if isinstance(content, event_pb2.SendEvent):
        return f"{content.tenant_id}/send/{content.send_id}"
    if isinstance(content, calendar_pb2.NormalizedCalendarEvent):
        return f"{content.tenant_id}/calendar/{content.calendar_event_id or content.calendar.calendar_id}"
    if isinstance(content, conversation_pb2.ConversationEvent):
        return f"{content.tenant_id}/conversation/{content.conversation.conversation_id}"
    if isinstance(content, event_pb2.WorkflowEvent):
        return f"{content.tenant_id}/run/{content.run_id}"
    return content.tenant_id
