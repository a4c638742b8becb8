"""How Processor's rows of a tenant are written in an export.

Events are written as readers get them, and requests of callers as the callers gave them.
"""

from collections.abc import Mapping
from typing import Any

import asyncpg
from google.protobuf.json_format import MessageToDict, SerializeToJsonError
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct

from mailmesh.calendar.v1 import calendar_event_pb2, calendar_pb2
from mailmesh.conversation.v1 import conversation_pb2
from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import classification_service_pb2, message_service_pb2, send_service_pb2
from services.meshkit.exporting import Export, Form, Written
from services.meshkit.exporting_forms import DIGEST, SECRET, base64_json, document_json, form, message_json, word
from services.processor.calendar import rows as calendar_rows
from services.processor.calendar.write_rows import CONTENTS, Kind
from services.processor.calendar.write_rows import State as WriteState
from services.processor.mail.state import State as MessageState
from services.processor.messages.rows import Outcome
from services.processor.messages.rows import State as ModificationState
from services.processor.migrate import SCHEMA
from services.processor.outbox.rows import State as SendState
from services.processor.outbox.store import sends, uploads
from services.processor.stream.contents import EVENT_PARTS as _PARTS
from services.processor.stream.contents import open_part
from services.processor.stream.serialization import KIND_ERASED, Identity, is_known, join


def _event(row: asyncpg.Record) -> Written:
    """Write an event; its bytes if a later release has left it behind. A tombstone has no content."""
    if row["kind"] == KIND_ERASED:
        return {"event": None}
    if is_known(row["kind"]):
        identity = Identity(row["event_id"], row["replay_id"], row["original_event_id"], "")
        try:
            return {"event": MessageToDict(join(row["kind"], [open_part(row, name) for name in _PARTS], identity))}
        except (DecodeError, SerializeToJsonError, ValueError):
            pass  # JSON cannot have it: nothing of a tenant's own is held back, so its bytes follow
    return {"event": {name: base64_json(open_part(row, name)) for name in _PARTS}}


def _send(row: asyncpg.Record) -> Written:
    return {
        "request": message_json(send_service_pb2.SendRequest, sends.opened(row, "content") + sends.opened(row, "body")),
        "addressed": message_json(send_service_pb2.NewMail, sends.opened(row, "addressed")),
        "state": word(SendState, row["state"]),
    }


def _write(row: asyncpg.Record) -> Written:
    return {
        "request": message_json(CONTENTS[Kind(row["kind"])], row["content"]),
        "meeting": message_json(calendar_event_pb2.OnlineMeeting, row["meeting"]),
        "kind": word(Kind, row["kind"]),
        "state": word(WriteState, row["state"]),
    }


def _modification(row: asyncpg.Record) -> Written:
    return {
        "request": message_json(message_service_pb2.ModifyMessagesRequest, row["content"]),
        "outcomes": [word(Outcome, number) for number in row["outcomes"]],
        "state": word(ModificationState, row["state"]),
    }


def _part(row: Mapping[str, Any]) -> Written:
    return {"content": base64_json(uploads.opened_part(row["tenant_id"], row))}


def _staged(row: asyncpg.Record) -> Written:
    return {"content": document_json(row["content"])}


_DIGEST = {"digest": DIGEST}
FORMS = {
    "calendar_events": form({"content": calendar_event_pb2.CalendarEvent}, left_out={"uid_digest": DIGEST}),
    "calendar_staged": Form(("content",), _staged),
    "calendar_writes": Form(("content", "meeting", "kind", "state"), _write, _DIGEST),
    "calendars": form({"info": calendar_pb2.Calendar}, {"state": calendar_rows.State, "phase": calendar_rows.Phase}),
    "conversation_links": form(left_out=_DIGEST),
    "conversation_messages": form({"content": conversation_pb2.ConversationMessage}, left_out={"own_id": DIGEST}),
    "classification_settings": form({"content": classification_service_pb2.ClassificationSettings}),
    "conversation_settings": form({"content": conversation_pb2.ConversationSettings}),
    "conversations": form({"content": conversation_pb2.Conversation}),
    "erasure_secrets": form(left_out={"inner_pad": SECRET, "outer_pad": SECRET}),
    "event_keys": form(left_out=_DIGEST),
    "events": Form(_PARTS, _event),
    "invitations": form(left_out={"uid_digest": DIGEST}),
    "lookups": form({"notification": Struct}),
    "messages": form(words={"state": MessageState}, left_out={"field_digests": DIGEST}),
    "modifications": Form(("content", "outcomes", "state"), _modification, _DIGEST),
    "processed_marks": form({"mark": message_service_pb2.ProcessedMark, "change": message_service_pb2.MessageChange}),
    "search_mails": form(left_out={"terms": "keyed digests of words, which are in the mails"}),
    "search_settings": form(left_out={"key": SECRET}),
    "sends": Form(("content", "body", "addressed", "state"), _send, _DIGEST),
    "thread_ids": form(left_out=_DIGEST),
    "upload_parts": Form(("content",), _part),
    "waiting_reports": form({"report": message_pb2.DeliveryReport}),
}
"""The forms of tables that have more than texts, numbers and times; a test knows every column of bytes."""
EXPORT = Export("processor", SCHEMA.head, FORMS)
