"""Follow the stream, and index the mail of tenants that enabled search: off the way of events, one process at a time.

A tenant's place in the stream and its mails are one commit, so a page that is read twice is indexed once.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.meshkit.metrics import UNEXPECTED
from services.processor.errors import CursorEpochChanged, CursorExpired
from services.processor.search import metrics
from services.processor.search.store import mails as store
from services.processor.search.store import settings as settings_store
from services.processor.search.store.mails import Entry
from services.processor.search.store.settings import Index
from services.processor.search.terms import Digests, terms_of
from services.processor.stream.cursor import Cursor, read_cursor
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EARLIEST, EventReader
from services.processor.stream.store import tenants

logger = structlog.get_logger(__name__)

DELETED = "mail.deleted"
TYPES = ["mail.created", "mail.updated", "mail.enriched", DELETED]
_TENANTS = 20
_PAGE = 100
_DELETED_AT_ONCE = 1000
_DUTY = "search"
_DUTY_LASTS = timedelta(seconds=30)
"""Another process goes on so long after the one that indexes has died. A round takes less, as a rule."""


class Indexer:
    """Indexes mail in rounds; for a periodic loop.

    Args:
        pool: Connections to PostgreSQL.
        reader: Reads the stream.
    """

    def __init__(self, pool: db.Pool, reader: EventReader) -> None:
        self._pool = pool
        self._reader = reader
        self._holder = new_id()

    async def round(self) -> int:
        """Index the next events of some tenants; return how many tenants went on. Safe to call again: yes."""
        async with db.connection(self._pool) as connection:
            due = await settings_store.due(connection, _TENANTS)
            if not due or not await tenants.take_duty(connection, _DUTY, self._holder, _DUTY_LASTS):
                return 0
            await settings_store.note_tries(connection, due)
        advanced = 0
        for tenant_id in due:
            try:
                await self._advance(tenant_id)
                advanced += 1
            except MeshError as exc:
                logger.warning("mail not indexed", tenant_id=tenant_id, error=exc.reason)
                metrics.INDEX_FAILURES.labels(exc.reason).inc()
            except Exception:  # a mail that cannot be indexed must not hold other tenants' search back
                logger.exception("mail not indexed", tenant_id=tenant_id)
                UNEXPECTED.labels("search").inc()
                metrics.INDEX_FAILURES.labels(metrics.UNFORESEEN).inc()
        return advanced

    async def _advance(self, tenant_id: str) -> None:
        async with db.connection(self._pool) as connection:
            before = await settings_store.read(connection, tenant_id)
        if before is None:
            return
        if before.is_clearing:
            await self._clear(tenant_id)
        elif before.is_enabled:
            await self._index(tenant_id, before)

    async def _clear(self, tenant_id: str) -> None:
        async with db.transaction(self._pool) as connection:
            current = await settings_store.read(connection, tenant_id, lock=True)
            if current is not None and current.is_clearing:
                count = await store.delete_through(connection, tenant_id, None, _DELETED_AT_ONCE)
                await settings_store.shrink(connection, tenant_id, count, is_clear=count < _DELETED_AT_ONCE)

    async def _index(self, tenant_id: str, before: Index) -> None:
        selection = Selection(tenants=frozenset((tenant_id,)), event_types=TYPES)
        page = await self._reader.page(
            await start_of(self._reader, before), selection, event_pb2.EVENT_VIEW_BODY, _PAGE
        )
        newest = {event.mail.message_id: event for event in page.events if _counts(event.mail)}
        # Long mails take a while: the process goes on serving meanwhile.
        entries = await asyncio.to_thread(_entries, newest.values(), before.key)
        gone = [message_id for message_id, event in newest.items() if event.mail.event_type == DELETED]
        async with db.transaction(self._pool) as connection:
            current = await settings_store.read(connection, tenant_id, lock=True)
            # Another process was faster, or the index was disabled, when the place has changed.
            if current is None or (current.key, current.cursor) != (before.key, before.cursor):
                return
            left = await store.readable(connection, tenant_id, [one.position for one in entries])
            grown = await store.save(connection, tenant_id, [one for one in entries if one.position in left])
            grown -= await store.delete(connection, tenant_id, gone)
            await settings_store.advance(connection, tenant_id, page.next.write(), page.next.position, grown)
        metrics.INDEXED.inc(len(left))


class SearchRetention:
    """Deletes mails from indexes whose events retention has dropped; for a periodic loop.

    Args:
        pool: Connections to PostgreSQL.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool

    async def round(self) -> int:
        """Delete some mails; return how many. Safe to call again and concurrently."""
        async with db.connection(self._pool) as connection:
            behind = await store.behind_floor(connection, _TENANTS)
        deleted = 0
        for tenant_id, floor in behind:
            async with db.transaction(self._pool) as connection:
                if await settings_store.read(connection, tenant_id, lock=True) is None:
                    continue
                count = await store.delete_through(connection, tenant_id, floor, _DELETED_AT_ONCE)
                await settings_store.shrink(connection, tenant_id, count, is_clear=False)
            deleted += count
        return deleted


async def start_of(reader: EventReader, index: Index) -> Cursor:
    """Return the place from which an index goes on; the oldest event when retention has passed that place."""
    try:
        return await reader.start(index.cursor, EARLIEST)
    except (CursorExpired, CursorEpochChanged):
        return await reader.start(EARLIEST, EARLIEST)


def _counts(event: mail_pb2.NormalizedMailEvent) -> bool:
    return event.event_type == DELETED or (event.is_enriched and not event.message.is_draft)


def _entries(events: Iterable[event_pb2.Event], key: bytes) -> list[Entry]:
    digests = Digests(key)
    return [
        Entry(
            event.mail.message_id,
            _received_at(event.mail),
            read_cursor(event.mail.position).position,
            digests.of(terms_of(event.mail.message)),
        )
        for event in events
        if event.mail.event_type != DELETED
    ]


def _received_at(event: mail_pb2.NormalizedMailEvent) -> datetime:
    """Return when the mailbox received the mail; when the event was accepted where the provider does not say it."""
    is_known = event.message.HasField("mail_received_at")
    return (event.message.mail_received_at if is_known else event.received_at).ToDatetime(UTC)
