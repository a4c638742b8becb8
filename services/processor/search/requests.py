"""The use cases of callers: find mail, and choose whether a tenant's mail is indexed."""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import event_pb2
from mailmesh.processor.v1 import search_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.erasing import marked
from services.processor.errors import SealingExcludesSearch, TenantNotFound
from services.processor.search.errors import SearchNotEnabled
from services.processor.search.indexer import TYPES
from services.processor.search.metrics import STEP_SECONDS
from services.processor.search.query import Query
from services.processor.search.snippet import hit_of
from services.processor.search.store import finding
from services.processor.search.store import settings as settings_store
from services.processor.search.store.finding import Place, Wanted
from services.processor.search.store.settings import Index
from services.processor.search.terms import KEY_BYTES, Digests, fields_of
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EARLIEST, EventReader
from services.processor.stream.store import sealed_tenants, tenants, turns
from services.processor.stream.turns import resume

MAX_WAITING = 10_000
_COUNT_SECONDS = 2.0
_SCHEMA = "processor"
_JUDGED_AT_ONCE = 20
_MOST_CANDIDATES = 400
_CANDIDATES_OF_PHRASE = 4
"""The candidates of a phrase have its words, and most of them elsewhere: so many are found for each mail of a page."""
_JUDGED = 300
_JUDGED_BYTES = 4 * 1024 * 1024
_JUDGED_SECONDS = 0.5
"""The bounds of the mails that one page judges. A page that meets one of them leads to a next page."""


@dataclass(frozen=True)
class Criteria:
    """The mails that a caller wants.

    Args:
        tenant_id: The tenant.
        query: The words.
        fields: The terms of `fields_of` that a mail has.
        after: The earliest time of receipt; None means any.
        before: The time that all times of receipt are before; None means any.
    """

    tenant_id: str
    query: Query
    fields: frozenset[str] = frozenset()
    after: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True)
class Found:
    """A page of mails.

    Args:
        hits: The mails, the newest first.
        end: The place behind which the next page begins; None at the end.
        is_indexing: Whether stored mail is not indexed yet.
    """

    hits: Sequence[pb2.SearchHit]
    end: Place | None
    is_indexing: bool


class Search:
    """Search for callers.

    Args:
        pool: Connections to PostgreSQL.
        reader: Reads the stream.
    """

    def __init__(self, pool: db.Pool, reader: EventReader) -> None:
        self._pool = pool
        self._reader = reader

    async def find(self, criteria: Criteria, behind: Place | None, size: int, scope: list[str] | None) -> Found:
        """Return a page of mails.

        Args:
            criteria: The mails.
            behind: The end of the page before; None for the first page.
            size: The largest number of mails.
            scope: The tenants that the caller may see; None means all.

        Raises:
            TenantNotFound: There is no such tenant in scope.
            SearchNotEnabled: Its mail is not indexed.
            SearchTooSlow: The database took too long.
        """
        tenant_id = criteria.tenant_id
        async with db.connection(self._pool) as connection:
            await _check_tenant(connection, tenant_id, scope)
            index = await settings_store.read(connection, tenant_id)
            if index is None or not index.is_enabled:
                raise SearchNotEnabled(subject=tenant_id, metadata={"tenant_id": tenant_id})
            is_indexing = index.is_clearing or await turns.is_behind(connection, settings_store.TABLE, tenant_id)
        digests = Digests(index.key)
        wanted = Wanted(
            tenant_id,
            digests.of(criteria.query.terms() | criteria.fields),
            digests.of(criteria.query.excluded_terms()),
            criteria.after,
            criteria.before,
            index.mails,
        )
        page = _Page(criteria, size, behind)
        await self._fill(page, wanted)
        return Found(page.hits, None if page.is_at_end else page.end, is_indexing)

    async def settings(self, tenant_id: str, scope: list[str] | None) -> tuple[pb2.SearchSettings, pb2.SearchIndex]:
        """Return a tenant's settings and the state of its index. Raises `TenantNotFound`."""
        async with db.connection(self._pool) as connection:
            await _check_tenant(connection, tenant_id, scope)
            index = await settings_store.read(connection, tenant_id)
        return pb2.SearchSettings(is_enabled=index is not None and index.is_enabled), await self._state(
            tenant_id, index
        )

    async def update_settings(
        self, tenant_id: str, settings: pb2.SearchSettings, scope: list[str] | None
    ) -> tuple[pb2.SearchSettings, pb2.SearchIndex]:
        """Enable or disable search. Safe to call again: yes. Raises `TenantNotFound`, `SealingExcludesSearch`."""
        start = await self._reader.start(EARLIEST, EARLIEST)
        async with db.transaction(self._pool) as connection:
            await _check_tenant(connection, tenant_id, scope)
            if tenant_id in await marked(connection, _SCHEMA, [tenant_id]):
                raise TenantNotFound.of(tenant_id)
            if settings.is_enabled:
                await tenants.lock(connection, tenant_id)
                if await sealed_tenants.is_enabled(connection, tenant_id):
                    raise SealingExcludesSearch(subject=tenant_id, metadata={"tenant_id": tenant_id})
                key = secrets.token_bytes(KEY_BYTES)
                await settings_store.enable(connection, tenant_id, key, start.write(), start.position)
            else:
                await settings_store.disable(connection, tenant_id)
        return await self.settings(tenant_id, scope)

    async def _state(self, tenant_id: str, index: Index | None) -> pb2.SearchIndex:
        if index is None:
            return pb2.SearchIndex()
        waiting = 0
        if index.is_enabled:
            start = await resume(self._reader, index.cursor)
            selection = Selection(tenants=frozenset((tenant_id,)), event_types=TYPES)
            waiting, _ = await self._reader.count(start, selection, MAX_WAITING, _COUNT_SECONDS)
        return pb2.SearchIndex(mails=index.mails, waiting_events=waiting, is_deleting=index.is_clearing)

    async def _fill(self, page: "_Page", wanted: Wanted) -> None:
        limit = page.first_limit
        while True:
            async with db.transaction(self._pool) as connection:
                with STEP_SECONDS.labels("find").time():
                    part = await finding.find(connection, wanted, page.end, limit)
            for first in range(0, len(part.rows), _JUDGED_AT_ONCE):
                few = part.rows[first : first + _JUDGED_AT_ONCE]
                with STEP_SECONDS.labels("read").time():
                    events = await self._reader.at(wanted.tenant_id, [row["position"] for row in few])
                # Judging reads the whole text of each mail: the process goes on serving meanwhile.
                if await asyncio.to_thread(page.judge, [(row["received_at"], row["position"]) for row in few], events):
                    return
            page.go_on(part.end)
            # Fewer mails than asked for: the index was read up to its bound, and the next page goes on there.
            if page.is_at_end or page.is_spent or len(part.rows) < limit:
                return
            # Few of the candidates belong to the result, as with phrases of frequent words.
            limit = min(limit * 4, _MOST_CANDIDATES)


class _Page:
    """A page that is being filled."""

    def __init__(self, criteria: Criteria, size: int, behind: Place | None) -> None:
        self.size = size
        self.hits: list[pb2.SearchHit] = []
        self.end = behind
        self.is_at_end = False
        self._criteria = criteria
        self._judged = 0
        self._bytes = 0
        self._ends_at = time.monotonic() + _JUDGED_SECONDS

    def judge(self, places: Sequence[Place], events: Mapping[int, event_pb2.Event]) -> bool:
        """Take those mails of the index that belong to the result; return whether the page is full.

        A mail whose event retention or an erasure has taken is no result, whether its row is deleted yet or not.
        """
        with STEP_SECONDS.labels("judge").time():
            return self._judge(places, events)

    def _judge(self, places: Sequence[Place], events: Mapping[int, event_pb2.Event]) -> bool:
        for place in places:
            if len(self.hits) == self.size or (self._judged and self.is_spent):
                return True
            self.end = place
            self._judged += 1
            event = events.get(place[1])
            if event is None:
                continue
            self._bytes += event.ByteSize()
            message = event.mail.message
            # The digests are short: a few of a million words share one.
            if self._takes(message):
                hit = hit_of(message, self._criteria.query)
                hit.message_id, hit.event_id = event.mail.message_id, event.mail.event_id
                hit.received_at.FromDatetime(place[0])
                self.hits.append(hit)
        return False

    def go_on(self, end: Place | None) -> None:
        """Note that the mails up to a place were found and judged; None means all of them."""
        self.end, self.is_at_end = end or self.end, end is None

    @property
    def first_limit(self) -> int:
        """The number of candidates that fill the page as a rule, and one more, which tells whether there are others."""
        has_phrase = any(len(phrase.words) > 1 for phrase in self._criteria.query.phrases)
        wanted = (self.size + 1) * (_CANDIDATES_OF_PHRASE if has_phrase else 1)
        return max(self.size + 1, min(wanted, _MOST_CANDIDATES))

    @property
    def is_spent(self) -> bool:
        """Whether the page has met one of its bounds."""
        return self._judged >= _JUDGED or self._bytes >= _JUDGED_BYTES or time.monotonic() > self._ends_at

    def _takes(self, message: message_pb2.MailMessage) -> bool:
        fields = self._criteria.fields
        return (not fields or fields <= fields_of(message)) and self._criteria.query.takes(message)


async def _check_tenant(connection: db.Connection, tenant_id: str, scope: list[str] | None) -> None:
    is_in_scope = scope is None or tenant_id in scope
    if not is_in_scope or await tenants.granted(connection, tenant_id) is None:
        raise TenantNotFound.of(tenant_id)
