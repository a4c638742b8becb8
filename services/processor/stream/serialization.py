"""The stored form of an event: three parts, so that a view reads only the parts that it returns.

Concatenated serialized messages parse as one message (Protobuf encoding, "Last One Wins"), so the parts of an event are
simply joined. The values that differ between an event and its replay (ids, position) have columns of their own and are
set on reading.
"""

import copy
import zlib
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from mailmesh.calendar.v1 import event_pb2 as calendar_pb2
from mailmesh.conversation.v1 import event_pb2 as conversation_pb2
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import event_pb2
from services.message.reply_text import reply_text, set_reply_text

KIND_ERASED = 0
"""An event of an erased tenant: a position without content, which readers pass."""
KIND_MAIL = 1
KIND_TENANT = 2
KIND_SEND = 3
KIND_CALENDAR = 6
KIND_CONVERSATION = 7
KIND_ENDPOINT = 8
KIND_WORKFLOW = 9
SEALED_KINDS = (KIND_MAIL, KIND_SEND, KIND_CALENDAR, KIND_CONVERSATION)
"""The kinds whose content is sealed for tenants that chose it. The others have words of our own, and no mail."""
_NAMES = {
    KIND_MAIL: "mail",
    KIND_TENANT: "tenant",
    KIND_SEND: "send",
    KIND_CALENDAR: "calendar_event",
    KIND_CONVERSATION: "conversation",
    KIND_ENDPOINT: "endpoint",
    KIND_WORKFLOW: "workflow",
}
_COMPRESSION = 1
_WORTH_COMPRESSING_BYTES = 1024
_COMPRESSED = b"\x78"
"""The first byte of a zlib stream (RFC 1950). No part begins with it: it would be field 15 as a varint, which no event
has."""


@dataclass(frozen=True)
class Payload:
    """The parts of an event, the long ones compressed, and their sizes in bytes before that."""

    basic: bytes
    body: bytes = b""
    raw: bytes = b""
    body_size: int = 0
    raw_size: int = 0


@dataclass(frozen=True)
class Identity:
    """The values that belong to the event itself and not to its content."""

    event_id: UUID
    replay_id: UUID | None
    original_event_id: UUID | None
    position: str


Content: TypeAlias = (
    mail_pb2.NormalizedMailEvent
    | event_pb2.TenantEvent
    | event_pb2.SendEvent
    | calendar_pb2.NormalizedCalendarEvent
    | conversation_pb2.ConversationEvent
    | event_pb2.EndpointEvent
    | event_pb2.WorkflowEvent
)
"""The content of an event, of any kind. All kinds have the fields of `TenantEvent` up to `original_event_id`."""


def content_of(event: event_pb2.Event) -> Content:
    """Return the content of an event."""
    content: Content = getattr(event, event.WhichOneof("kind") or "tenant")
    return content


def split(event: Content) -> Payload:
    """Split an event into its stored parts."""
    basic = copy.deepcopy(event)
    for name in ("event_id", "position", "is_replay", "replay_id", "original_event_id"):
        basic.ClearField(name)
    if isinstance(basic, calendar_pb2.NormalizedCalendarEvent):
        body = _take_text(basic)
        return Payload(basic.SerializeToString(deterministic=True), _compressed(body), b"", len(body))
    if not isinstance(basic, mail_pb2.NormalizedMailEvent):
        return Payload(basic.SerializeToString(deterministic=True))
    # The new text of a mail is made from its spans on reading; a page counts it.
    body_size = len(reply_text(basic.message.body).encode())
    body, raw = _take_body(basic), _take_raw(basic)
    return Payload(
        basic.SerializeToString(deterministic=True),
        _compressed(body),
        _compressed(raw),
        body_size + len(body),
        len(raw),
    )


def is_known(kind: int) -> bool:
    """Return whether this release can read a kind; a later release may have left others behind."""
    return kind in _NAMES


def join(kind: int, parts: list[bytes], identity: Identity) -> event_pb2.Event:
    """Join the parts of an event.

    Args:
        kind: One of the `KIND_` constants.
        parts: The basic part and the other parts of the view, as they were stored.
        identity: The values of the event itself.
    """
    event = event_pb2.Event(position=identity.position)
    content = _filled(event, kind, parts)
    if isinstance(content, mail_pb2.NormalizedMailEvent) and content.message.body.spans:
        set_reply_text(content.message.body)
    content.event_id = str(identity.event_id)
    content.position = identity.position
    if identity.replay_id is not None:
        content.is_replay = True
        content.replay_id = str(identity.replay_id)
        content.original_event_id = str(identity.original_event_id)
    return event


def content_of_parts(kind: int, parts: list[bytes]) -> Content:
    """Return the stored content of an event, without the values of the event itself."""
    return _filled(event_pb2.Event(), kind, parts)


def _filled(event: event_pb2.Event, kind: int, parts: list[bytes]) -> Content:
    content: Content = getattr(event, _NAMES[kind])
    content.MergeFromString(parts[0] + b"".join(plain(part) for part in parts[1:] if part))
    return content


def _take_body(event: mail_pb2.NormalizedMailEvent) -> bytes:
    part = mail_pb2.NormalizedMailEvent()
    if event.message.HasField("body"):
        part.message.body.CopyFrom(event.message.body)
        event.message.ClearField("body")
    if event.message.headers:
        part.message.headers.extend(event.message.headers)
        event.message.ClearField("headers")
    return part.SerializeToString(deterministic=True)


def _take_text(event: calendar_pb2.NormalizedCalendarEvent) -> bytes:
    part = calendar_pb2.NormalizedCalendarEvent()
    if event.event.body_text:
        part.event.body_text = event.event.body_text
        event.event.ClearField("body_text")
    return part.SerializeToString(deterministic=True)


def _take_raw(event: mail_pb2.NormalizedMailEvent) -> bytes:
    part = mail_pb2.NormalizedMailEvent()
    if event.HasField("raw"):
        part.raw.CopyFrom(event.raw)
        event.ClearField("raw")
    return part.SerializeToString(deterministic=True)


def _compressed(part: bytes) -> bytes:
    return zlib.compress(part, _COMPRESSION) if len(part) > _WORTH_COMPRESSING_BYTES else part


def plain(part: bytes) -> bytes:
    """Return a part as it was before its compression."""
    return zlib.decompress(part) if part[:1] == _COMPRESSED else part
