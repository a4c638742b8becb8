"""A tenant with search in a test's database: mail is published, and an indexer follows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import search_service_pb2 as pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.ids import new_id
from services.processor.search.indexer import Indexer
from services.processor.search.query import read_query
from services.processor.search.requests import Criteria, Found, Search
from services.processor.stream.pages import EventReader
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.retention import Retention
from services.processor.stream.store import tenants

BEGIN = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Indexed:
    """A tenant whose mail is indexed once `enable` was called. One indexer serves all tenants: it has the duty."""

    def __init__(self, pool: db.Pool, indexer: Indexer | None = None) -> None:
        self.pool, self.tenant = pool, new_id()
        self.reader = EventReader(pool)
        self.indexer = indexer or Indexer(pool, self.reader)
        self.search = Search(pool, self.reader)
        self._count = 0

    async def begin(self, status: str = "active") -> None:
        await Retention(self.pool, 30, SystemClock()).prepare()
        tenant = tenant_pb2.Tenant(tenant_id=self.tenant, provider="ms365", external_tenant_id="o", user_id="u")
        async with db.transaction(self.pool) as connection:
            await tenants.save(connection, tenant, status, SystemClock().now())

    async def enable(self, *, is_enabled: bool = True) -> pb2.SearchIndex:
        settings = pb2.SearchSettings(is_enabled=is_enabled)
        return (await self.search.update_settings(self.tenant, settings, None))[1]

    async def state(self) -> pb2.SearchIndex:
        return (await self.search.settings(self.tenant, None))[1]

    async def publish(self, *events: mail_pb2.NormalizedMailEvent) -> None:
        async with db.transaction(self.pool) as connection:
            await publish(connection, [EventDraft(mail=one) for one in events])

    def event(
        self, message_id: str, message: message_pb2.MailMessage | None, event_type: str = "mail.created", **more: Any
    ) -> mail_pb2.NormalizedMailEvent:
        """Return an event of a mail; each mail is a minute younger than the one before."""
        self._count += 1
        event = mail_pb2.NormalizedMailEvent(
            provider="ms365", tenant_id=self.tenant, external_tenant_id="o", event_type=event_type, generation=1,
            message_id=message_id, version=str(self._count), is_enriched=message is not None, message=message, **more,
        )  # fmt: skip
        event.received_at.FromDatetime(SystemClock().now())
        if message is not None and not message.HasField("mail_received_at"):
            event.message.mail_received_at.FromDatetime(BEGIN + timedelta(minutes=self._count))
        return event

    async def add(self, **mails: message_pb2.MailMessage) -> None:
        """Publish mails by their ids, and index them."""
        await self.publish(*(self.event(name, message) for name, message in mails.items()))
        await self.index()

    async def index(self) -> None:
        while await self.indexer.round():
            pass

    async def page(self, query: str = "", size: int = 100, behind: Any = None, **criteria: Any) -> Found:
        return await self.search.find(Criteria(self.tenant, read_query(query), **criteria), behind, size, None)

    async def ids(self, query: str = "", size: int = 100, **criteria: Any) -> Sequence[str]:
        """Return the ids of all mails that a query finds, read to the end of its pages."""
        found, behind, is_at_end = [], None, False
        while not is_at_end:
            page = await self.page(query, size, behind, **criteria)
            found += [hit.message_id for hit in page.hits]
            behind, is_at_end = page.end, page.end is None
        return found
