"""Turns rows of items into the contract's messages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
import orjson

from mailmesh.ingest.v1.dead_letter_service_pb2 import Attempt
from mailmesh.ingest.v1.inbox_item_pb2 import CalendarChanged, InboxItem, MailboxChanged, MailboxWatched, Reconcile
from services.ingest.store.items import Kind
from services.ingest.store.mail_content import event_of

Row: TypeAlias = asyncpg.Record | Mapping[str, Any]


def item_of(row: Row, attempts: int) -> InboxItem:
    """Return the contract's message of an item.

    Args:
        row: A row with tenant_id, item_id, kind, received_at, content, correlation_id, traceparent, and of the tenant
            provider, external_tenant_id and user_id.
        attempts: The number of attempts to report.
    """
    item = InboxItem(
        item_id=str(row["item_id"]),
        tenant_id=str(row["tenant_id"]),
        attempts=attempts,
        correlation_id=str(row["correlation_id"]),
        traceparent=row["traceparent"],
    )
    item.received_at.FromDatetime(row["received_at"])
    _set_content(item, row)
    return item


def attempts_of(history: str) -> list[Attempt]:
    """Return the contract's messages of a stored history of attempts."""
    return [_attempt(entry) for entry in orjson.loads(history)]


def _set_content(item: InboxItem, row: Row) -> None:
    match row["kind"]:
        case Kind.MAIL:
            item.mail.CopyFrom(event_of(row["content"]))
            # For a worker that gets no token: without it, only these tell whose mailbox the events are about.
            item.mail.provider = row["provider"]
            item.mail.external_tenant_id = row["external_tenant_id"]
            item.mail.user_id = row["user_id"]
        case Kind.MAILBOX_CHANGED:
            item.mailbox_changed.CopyFrom(MailboxChanged.FromString(row["content"]))
        case Kind.MAILBOX_WATCHED:
            item.mailbox_watched.CopyFrom(MailboxWatched.FromString(row["content"]))
        case Kind.CALENDAR_CHANGED:
            item.calendar_changed.CopyFrom(CalendarChanged.FromString(row["content"]))
        case _:
            item.reconcile.CopyFrom(Reconcile.FromString(row["content"]))


def _attempt(entry: dict[str, Any]) -> Attempt:
    attempt = Attempt(worker_id=entry["worker_id"], reason=entry["reason"], detail=entry["detail"])
    attempt.started_at.FromDatetime(datetime.fromisoformat(entry["started_at"]))
    return attempt
