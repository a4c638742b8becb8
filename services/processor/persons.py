"""Processor's tables that may name a person, and what an erasure of the person does to their rows.

An event that names the person loses all its content: a mail without its sender or its text is no longer that mail. The
other rows lose the address, with the name beside it, and stay, so that nothing is sent twice and ids stay valid.
Requests of callers keep a keyed digest of their idempotency key and of their content (`erased_requests`).
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from google.protobuf.struct_pb2 import Struct

from mailmesh.calendar.v1 import calendar_event_pb2, calendar_pb2
from mailmesh.conversation.v1 import conversation_pb2
from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import classification_service_pb2, message_service_pb2, send_service_pb2
from services.meshkit import db
from services.meshkit.erasing_marks import Mark, PersonToErase
from services.meshkit.erasing_steps import Bound, Change, Rows, rewriting
from services.meshkit.errors import Conflict
from services.meshkit.persons import Person, answer, json_bytes, message, take_out, text
from services.processor.calendar.store import writes
from services.processor.calendar.write_rows import CONTENTS, Kind
from services.processor.calendar.write_rows import State as WriteState
from services.processor.calendar.writing.outcome import finish as finish_write
from services.processor.erased_labels import IS_ORIGINAL_ERASED, REPLAYED, bury_label, replayed_label
from services.processor.erased_requests import DETAIL, REASON, protect
from services.processor.messages.rows import State as ModificationState
from services.processor.outbox.outcome import finish as finish_send
from services.processor.outbox.rows import UNSUBMITTED, State
from services.processor.outbox.store import sends
from services.processor.stream.contents import EVENT_PARTS, open_part
from services.processor.stream.errors import SealBroken
from services.processor.stream.serialization import KIND_MAIL, content_of_parts, is_known, plain
from services.processor.stream.store.tombstones import BURIED

_OF_CALENDARS = "calendar_id IN (SELECT calendar_id FROM processor.calendars WHERE tenant_id = $1)"
_FREE_FILES = """
    WITH files AS (DELETE FROM processor.send_files WHERE send_id = $1 RETURNING upload_id)
    UPDATE processor.uploads SET expires_at = '-infinity' WHERE upload_id IN (SELECT upload_id FROM files)
"""
_DELETE_FILES = """
    DELETE FROM processor.uploads u WHERE u.expires_at = '-infinity'
        AND u.tenant_id = (SELECT tenant_id FROM processor.sends WHERE send_id = $1)
        AND NOT EXISTS (SELECT FROM processor.send_files f WHERE f.upload_id = u.upload_id)
"""
# A statement of its own: the next one sees what the indexer had committed before it let go of the row.
_HOLD_INDEX = """
    SELECT FROM processor.search_settings s JOIN processor.events e ON e.tenant_id = s.tenant_id
    WHERE e.position = $1::text::bigint FOR UPDATE OF s
"""
_UNINDEX = """
    WITH gone AS (
        DELETE FROM processor.search_mails s USING processor.events e
        WHERE e.position = $1::text::bigint AND s.tenant_id = e.tenant_id AND s.position = e.position
        RETURNING s.tenant_id
    ) UPDATE processor.search_settings s SET mails = mails - 1 FROM gone WHERE s.tenant_id = gone.tenant_id
"""
_IS_BEHIND = """
    SELECT EXISTS (SELECT FROM processor.conversation_settings WHERE tenant_id = $1 AND is_enabled AND position < $2)
"""
_CLEARING = timedelta(hours=1)
"""The time for which an erasure waits until the draft of an unsent mail is deleted: a broken grant must not stop it."""
_BY_POSITION = {"position": "bigint"}
_PARTS = ("kind", "event_id", "tenant_id", "original_event_id", "basic", "body", "raw")
_REQUEST = message(send_service_pb2.SendRequest)
_ADDRESSED = message(send_service_pb2.NewMail)
_CONVERSATIONS = message(conversation_pb2.ConversationSettings)
_LABELLING = message(classification_service_pb2.ClassificationSettings)


def _event(row: asyncpg.Record, person: Person) -> Change | None:
    try:
        parts = [open_part(row, name) for name in EVENT_PARTS]
    except SealBroken:  # no reader gets it any more, and an erasure has to end
        return BURIED
    if not person.may_be_in(b" ".join(plain(part) for part in parts)):
        return None
    if not is_known(row["kind"]):  # a later release has left it behind
        return BURIED if any(answer(plain(part), person) != plain(part) for part in parts) else None
    return BURIED if take_out(content_of_parts(row["kind"], parts), person) else None


def _send(row: asyncpg.Record, person: Person) -> Change | None:
    """A send that waits ends, and is never submitted; one that is submitted at this moment ends first."""
    names = _texts(row, person)
    try:
        content, addressed = sends.opened(row, "content") + sends.opened(row, "body"), sends.opened(row, "addressed")
        is_named = _REQUEST(content, person) != content or _ADDRESSED(addressed, person) != addressed
    except SealBroken:  # nothing opens it any more, and an erasure has to end
        is_named = True
    if not is_named and not _differs(names, row):
        return None
    is_untouched = State(row["state"]) in UNSUBMITTED and row["prepared_at"] is None
    if not is_untouched and _is_used(row):
        raise Conflict
    return {"content": b"", "body": b"", "addressed": b"", "detail": names["detail"]}


def _is_used(row: asyncpg.Record) -> bool:
    """Return whether a worker may still act on a send: submit it, or for a while delete its draft, by its id alone."""
    ended = row["finished_at"]
    return ended is None or (row["due_at"] is not None and datetime.now(UTC) - ended < _CLEARING)


def _write(row: asyncpg.Record, person: Person) -> Change | None:
    """A change of a calendar: as with sends."""
    without = message(CONTENTS[Kind(row["kind"])])
    names = _texts(row, person) | {"content": without(row["content"], person)}
    names["meeting"] = message(calendar_event_pb2.OnlineMeeting)(row["meeting"], person)
    names["provider_calendar_id"] = person.out_of(row["provider_calendar_id"])
    if not _differs(names, row):
        return None
    is_untouched = row["state"] == WriteState.PENDING and not row["submissions"]
    if not is_untouched and row["finished_at"] is None:
        raise Conflict
    kept = {name: names[name] for name in ("detail", "provider_calendar_id")}
    return {**kept, "content": b"", "meeting": b""}


def _modification(row: asyncpg.Record, person: Person) -> Change | None:
    without = message(message_service_pb2.ModifyMessagesRequest)
    names = _texts(row, person) | {"content": without(row["content"], person)}
    if not _differs(names, row):
        return None
    if row["state"] != ModificationState.FINISHED:
        raise Conflict
    return {name: names[name] for name in ("content", "detail")}


def _calendar(row: asyncpg.Record, person: Person) -> Change | None:
    """A calendar of the person, whose id is the address, goes with its events."""
    if person.is_in(row["provider_calendar_id"]):
        return {}
    names: dict[str, Any] = {name: person.out_of(row[name]) for name in ("detail", "poll_detail")}
    names["info"] = message(calendar_pb2.Calendar)(row["info"], person)
    return names if _differs(names, row) else None


def _participant(row: asyncpg.Record, person: Person) -> Change | None:
    return {} if person.is_in(row["address"]) else None


def _report(row: asyncpg.Record, person: Person) -> Change | None:
    """A report about the person goes; one about another recipient may cite the person."""
    if person.is_in(row["recipient"]):
        return {}
    names = {name: person.out_of(row[name]) for name in ("status", "diagnostic")}
    return names if _differs(names, row) else None


async def _end_send(connection: db.Connection, send_id: str) -> None:
    """Keep what prevents a second submission, and end a send that was never submitted. The reason is ours."""
    await protect(connection, "sends", "send_id", send_id)
    row = await sends.by_id(connection, send_id, None, lock=True)
    if row is not None and row.state in UNSUBMITTED:
        await finish_send(connection, row, State.FAILED, await _now(connection), reason=REASON, detail=DETAIL)
    await connection.execute(
        "UPDATE processor.sends SET reason = $2, detail = $3 WHERE send_id = $1", send_id, REASON, DETAIL
    )


async def _end_write(connection: db.Connection, write_id: str) -> None:
    """As with sends."""
    await protect(connection, "calendar_writes", "calendar_write_id", write_id)
    row = await writes.by_id(connection, write_id, None, lock=True)
    if row is not None and row.state is WriteState.PENDING:
        await finish_write(connection, row, WriteState.FAILED, await _now(connection), reason=REASON, detail=DETAIL)
    await connection.execute(
        "UPDATE processor.calendar_writes SET reason = $2, detail = $3 WHERE calendar_write_id = $1",
        write_id,
        REASON,
        DETAIL,
    )


async def _end_modification(connection: db.Connection, modification_id: str) -> None:
    await protect(connection, "modifications", "modification_id", modification_id)


async def _now(connection: db.Connection) -> datetime:
    now: datetime = await connection.fetchval("SELECT now()")
    return now


async def caught_up(connection: db.Connection, person: PersonToErase, mark: Mark) -> bool:
    """Return whether conversations have taken over all events that were stored at the cut-off."""
    last = mark.bounds["events"]["key"]
    behind = await connection.fetchval(_IS_BEHIND, person.tenant_id, int(last[0]) if last else 0)
    return not behind


def _texts(row: asyncpg.Record, person: Person) -> dict[str, Any]:
    return {name: person.out_of(row[name]) for name in ("detail", "idempotency_key")}


def _differs(names: dict[str, Any], row: asyncpg.Record) -> bool:
    return any(value != row[name] for name, value in names.items())


_ASKED = ("detail", "idempotency_key", "content", "state", "finished_at", "due_at")
_OF_CALENDAR = {"calendar_id": "uuid", "calendar_event_id": "uuid"}
_OF_TENANT = {"tenant_id": "uuid"}
_OF_MESSAGE = {"message_id": "text"}
_STORED = "stored_at <= $2::text::timestamptz"
"""The condition of rows of the cut-off whose ids have no order in time."""
PERSONS = (
    Rows(
        "sends",
        {"send_id": "uuid"},
        (*_ASKED, "send_id", "tenant_id", "body", "addressed", "prepared_at"),
        _send,
        settles=True,  # a call that has looked for its key has ended
        before=(_FREE_FILES, _DELETE_FILES),
        then=_end_send,
        page=20,
    ),
    rewriting("uploads", {"upload_id": "uuid"}, {"name": text}),
    Rows("modifications", {"modification_id": "uuid"}, _ASKED, _modification, then=_end_modification),
    Rows(
        "calendar_writes",
        {"calendar_write_id": "uuid"},
        (*_ASKED, "kind", "meeting", "submissions", "provider_calendar_id"),
        _write,
        then=_end_write,
    ),
    Rows(
        "calendars",
        {"calendar_id": "uuid"},
        ("provider_calendar_id", "info", "detail", "poll_detail"),
        _calendar,
        Bound.START,
    ),
    rewriting("calendar_lists", _OF_TENANT, {"detail": text}, bound=Bound.START),
    rewriting(
        "calendar_events",
        _OF_CALENDAR,
        {"content": message(calendar_event_pb2.CalendarEvent)},
        owned=_OF_CALENDARS,
        bound=Bound.START,
    ),
    rewriting("calendar_unread", _OF_CALENDAR, {"detail": text}, owned=_OF_CALENDARS, bound=Bound.START),
    rewriting(
        "calendar_staged",
        {"calendar_id": "uuid", "series": "text", "provider_event_id": "text"},
        {"content": json_bytes},
        owned=_OF_CALENDARS,
        bound=Bound.START,
    ),
    rewriting("lookups", _OF_MESSAGE, {"notification": message(Struct)}, stored="created_at <= $2::text::timestamptz"),
    rewriting("backfills", _OF_TENANT, {"detail": text}, bound=Bound.START),
    Rows("thread_participants", {"thread_id": "uuid", "address": "text"}, ("address",), _participant, stored=_STORED),
    Rows(
        "send_reports",
        {"send_id": "uuid", "recipient": "text", "is_complaint": "boolean"},
        ("recipient", "status", "diagnostic"),
        _report,
        Bound.START,
    ),
    rewriting(
        "waiting_reports",
        {"internet_message_id": "text", "report_message_id": "text"},
        {"report": message(message_pb2.DeliveryReport)},
        bound=Bound.START,
    ),
    Rows("events", _BY_POSITION, _PARTS, _event, before=(_HOLD_INDEX, _UNINDEX), with_row=bury_label, page=20),
    Rows(
        "events",
        _BY_POSITION,
        (IS_ORIGINAL_ERASED,),
        replayed_label,
        Bound.START,
        owned=REPLAYED,
        part="replayed labels",
    ),
    # The follower of conversations makes rows from events, so they come behind the events.
    rewriting(
        "conversations",
        {"conversation_id": "uuid"},
        {"content": message(conversation_pb2.Conversation)},
        bound=Bound.TURN,
        stored=_STORED,
        settles=True,
    ),
    rewriting(
        "conversation_messages",
        _OF_MESSAGE,
        {"content": message(conversation_pb2.ConversationMessage)},
        bound=Bound.TURN,
        stored=_STORED,
    ),
    rewriting(
        "conversation_reports",
        {"digest": "bytea", "message_id": "text"},
        {"report": message(message_pb2.DeliveryReport)},
        bound=Bound.START,
    ),
    rewriting("conversation_settings", _OF_TENANT, {"content": _CONVERSATIONS}, bound=Bound.START),
    rewriting("classification_settings", _OF_TENANT, {"content": _LABELLING}, bound=Bound.START),
    # Later events about rows that named the person until now; later mail is new data, and stays.
    Rows(
        "events",
        _BY_POSITION,
        _PARTS,
        _event,
        Bound.START,
        stored=f"kind <> {KIND_MAIL}",
        behind="events",
        settles=True,
        page=20,
    ),
)
"""The steps."""
