"""Publish events: assign their ids and positions, as the last step before the caller's commit."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

from mailmesh.calendar.v1 import event_pb2 as calendar_pb2
from mailmesh.conversation.v1 import event_pb2 as conversation_pb2
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.meshkit.ids import new_id
from services.processor.stream.contents import CONTENTS, EVENT_PARTS, event_owner
from services.processor.stream.cursor import Cursor, tag_of
from services.processor.stream.serialization import (
    KIND_CALENDAR,
    KIND_CONVERSATION,
    KIND_ENDPOINT,
    KIND_MAIL,
    KIND_SEND,
    KIND_TENANT,
    KIND_WORKFLOW,
    SEALED_KINDS,
    Content,
    split,
)
from services.processor.stream.store.event_log import STEP, Appended, EventRow, KeyRow, append, holders

MAIL_UPDATED = "mail.updated"
MAIL_ENRICHED = "mail.enriched"
MAIL_CLASSIFIED = "mail.classified"
_SENDS = "send."
_CALENDARS = "calendar."
_CONVERSATIONS = "conversation."
_ENDPOINTS = "endpoint."
_WORKFLOWS = "workflow."
_NO_TENANT = "00000000-0000-0000-0000-000000000000"
"""The stored tenant of an event that belongs to none: no key that is limited to tenants includes it."""
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class EventDraft:
    """An event to be published, of exactly one of the kinds.

    Args:
        mail: A change of a mail within the bounds of an event, with `event_id` and `position` empty.
        tenant: A change of a tenant's state, with `event_id` and `position` empty.
        send: The outcome of a send, with `event_id` and `position` empty.
        calendar_event: A change of a calendar or of its events, with `event_id` and `position` empty.
        conversation: A change of a conversation, with `event_id` and `position` empty.
        endpoint: A warning about an endpoint, with `event_id` and `position` empty.
        workflow: A change of a workflow's run, with `event_id` and `position` empty.
        change_id: For a tenant event, TokenVault's id of the change; for a send, its id and the number of its outcome;
            for a calendar, the id of the calendar or of its event, and the number of its change; for a
            conversation, its id and version; for an endpoint or a workflow's run, the id that their service derived
            from the change.
            It is the key that makes the change one event.
    """

    mail: mail_pb2.NormalizedMailEvent | None = None
    tenant: event_pb2.TenantEvent | None = None
    send: event_pb2.SendEvent | None = None
    calendar_event: calendar_pb2.NormalizedCalendarEvent | None = None
    conversation: conversation_pb2.ConversationEvent | None = None
    endpoint: event_pb2.EndpointEvent | None = None
    workflow: event_pb2.WorkflowEvent | None = None
    change_id: str = ""

    def key(self) -> bytes:
        """Return the digest of the values that must not be published twice.

        For a mail event: tenant, message, generation, type; for updates also the version, for enrichments and labels
        the earlier event.
        """
        if self.mail is not None:
            event = self.mail
            last = {
                MAIL_UPDATED: event.version,
                MAIL_ENRICHED: event.enriched_event_id or event.version,
                MAIL_CLASSIFIED: event.classification.classified_event_id,
            }
            parts = [event.message_id, str(event.generation), event.event_type, last.get(event.event_type, "")]
        else:
            parts = ["", "0", self._content().event_type, self.change_id]
        parts.append(self.tenant_id)
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        for part in (text.encode() for text in parts):
            digest.update(len(part).to_bytes(4, "big") + part)
        return digest.digest()

    @property
    def is_key_permanent(self) -> bool:
        """Whether the key is kept as long as the tenant: such a change can be found again; an update cannot.

        The outcome of a send and the change of a calendar or of a conversation are committed with their state, which
        keeps them from happening again, and so is the label of a mail. Delivery and Workflows repeat what they publish
        until it is confirmed.
        """
        event_type = self._content().event_type
        return event_type not in (MAIL_UPDATED, MAIL_ENRICHED, MAIL_CLASSIFIED) and not event_type.startswith(
            (_SENDS, _CALENDARS, _CONVERSATIONS, _ENDPOINTS, _WORKFLOWS)
        )

    @property
    def tenant_id(self) -> str:
        """The tenant's UUID, as it is stored."""
        return _NO_TENANT if self.endpoint is not None else self._content().tenant_id

    def row(self, event_id: UUID) -> EventRow:
        """Return the row to store.

        Raises:
            ContentKeyUnavailable: The tenant's content is sealed, and this process has not got the key.
        """
        event, kind = self._content(), self._kind()
        payload = split(event)
        if kind in SEALED_KINDS and CONTENTS.is_sealing(self.tenant_id):
            basic, body, raw = (
                CONTENTS.seal(self.tenant_id, getattr(payload, name), *event_owner(event_id, name))
                for name in EVENT_PARTS
            )
            payload = replace(payload, basic=basic, body=body, raw=raw)
        return EventRow(
            event_id=event_id,
            tenant_id=self.tenant_id,
            provider=event.provider,
            event_type=event.event_type,
            kind=kind,
            received_at=event.received_at.ToDatetime(UTC) if event.HasField("received_at") else datetime.now(UTC),
            payload=payload,
        )

    def _kind(self) -> int:
        if self.calendar_event is not None:
            return KIND_CALENDAR
        if self.conversation is not None:
            return KIND_CONVERSATION
        if self.endpoint is not None:
            return KIND_ENDPOINT
        if self.workflow is not None:
            return KIND_WORKFLOW
        return KIND_MAIL if self.mail is not None else KIND_TENANT if self.send is None else KIND_SEND

    def _content(self) -> Content:
        event: Content | None = self.mail or self.tenant or self.send or self.calendar_event or self.conversation
        event = event or self.endpoint or self.workflow
        if event is None:
            msg = "a draft contains an event of one kind"
            raise ValueError(msg)
        return event


@dataclass(frozen=True)
class PublishedEvent:
    """The result for a draft.

    Args:
        event_id: The event's UUID; when the key was used before, the UUID of that earlier event.
        position: The cursor just after the event; empty when it was published before.
        is_new: Whether it was published now.
    """

    event_id: str
    position: str
    is_new: bool


Append: TypeAlias = Callable[[db.Connection, Sequence[EventRow], Sequence[KeyRow]], Awaitable[Appended | None]]
"""Appends events, with their keys, to the stream."""


async def publish(
    connection: db.Connection, drafts: Sequence[EventDraft], append: Append = append
) -> list[PublishedEvent]:
    """Publish events within the caller's transaction, which must commit right after.

    From here to the commit the transaction holds a lane of the stream, and readers wait for it: this keeps an event
    from becoming visible behind a reader. PostgreSQL ends a transaction that stays idle for five seconds after this.

    Args:
        connection: A connection in a transaction of isolation READ COMMITTED, not in a savepoint.
        drafts: The events, in the order in which they are to be read.
        append: Appends them; a caller's own statement may write more with them.

    Returns:
        One result for each draft, in the same order.

    Raises:
        ContentKeyUnavailable: A tenant's content is sealed, and this process has not got the key; nothing is written.

    Safe to call again: yes. A key that was used before publishes nothing and names the event that has it.
    """
    keys = [draft.key() for draft in drafts]
    candidates: dict[bytes, _Candidate] = {}
    for key, draft in zip(keys, drafts, strict=True):
        candidates.setdefault(key, _Candidate(draft, UUID(new_id())))
    positions = await _append(connection, candidates, append)
    taken = [candidate.key_row(key) for key, candidate in candidates.items() if key not in positions]
    earlier = await holders(connection, taken) if taken else {}
    found = {key: candidates[key].event_id for key in positions} | earlier
    return [PublishedEvent(str(found[key]), position := positions.pop(key, ""), is_new=bool(position)) for key in keys]


@dataclass(frozen=True)
class _Candidate:
    """A draft with the id that it gets when its key is free."""

    draft: EventDraft
    event_id: UUID

    def key_row(self, key: bytes) -> KeyRow:
        return KeyRow(self.draft.tenant_id, key, self.event_id, self.draft.is_key_permanent)


async def _append(
    connection: db.Connection, candidates: Mapping[bytes, _Candidate], append: Append
) -> dict[bytes, str]:
    """Append the events whose keys are free; return the position after each, by key."""
    if not candidates:
        return {}
    # Encode before a lane is locked: encoding takes most of the time.
    rows = [candidate.draft.row(candidate.event_id) for candidate in candidates.values()]
    appended = await append(connection, rows, [candidate.key_row(key) for key, candidate in candidates.items()])
    if appended is None:
        return {}
    keys = {candidate.event_id: key for key, candidate in candidates.items()}
    return {
        keys[event_id]: Cursor(appended.epoch, appended.base + place * STEP, tag_of(event_id)).write()
        for place, event_id in enumerate((UUID(str(one)) for one in appended.event_ids), start=1)
    }
