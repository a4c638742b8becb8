"""A tenant with conversations in a test's database: mail is published, and a follower takes it in."""

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from mailmesh.conversation.v1 import event_pb2 as conversation_events
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import event_pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.ids import new_id
from services.processor.conversations.follower import Follower
from services.processor.conversations.requests import Actor, Conversations
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EARLIEST, EventReader
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.retention import Retention
from services.processor.stream.store import tenants
from tests.unit.processor.conversations.desk import DESK, mail

ADA, EVE = "ada@a.example", "eve@e.example"
ACTOR = Actor("key", None)
SETTINGS = pb2.ConversationSettings(is_enabled=True, own_addresses=[DESK], own_domains=["ours.example"])


class Served:
    """A tenant with conversations."""

    def __init__(self, pool: db.Pool) -> None:
        self.pool, self.tenant = pool, new_id()
        self.reader = EventReader(pool)
        self.follower = Follower(pool, self.reader, SystemClock())
        self.conversations = Conversations(pool, self.reader, SystemClock())

    async def begin(self) -> None:
        await Retention(self.pool, 30, SystemClock()).prepare()
        tenant = tenant_pb2.Tenant(tenant_id=self.tenant, provider="ms365", external_tenant_id="o", user_id="u")
        async with db.transaction(self.pool) as connection:
            await tenants.save(connection, tenant, "active", SystemClock().now())
        await self.conversations.update_settings(self.tenant, SETTINGS, ACTOR)

    async def publish(self, *mails: mail_pb2.NormalizedMailEvent) -> None:
        for one in mails:
            one.tenant_id, one.event_type, one.generation = self.tenant, "mail.created", 1
            one.external_tenant_id = "o"
            one.received_at.FromDatetime(SystemClock().now())
        async with db.transaction(self.pool) as connection:
            await publish(connection, [EventDraft(mail=one) for one in mails])

    async def follow(self) -> None:
        while await self.follower.round():
            pass

    async def all(self) -> list[pb2.Conversation]:
        return await self.conversations.page(self.tenant, [], None, 100, ACTOR)

    async def told(self) -> list[conversation_events.ConversationEvent]:
        start = await self.reader.start(EARLIEST, EARLIEST)
        selection = Selection(tenants=frozenset((self.tenant,)), event_types=[], kinds=("conversation",))
        page = await self.reader.page(start, selection, event_pb2.EVENT_VIEW_FULL, 1000)
        return [one.conversation for one in page.events]


async def begun(served: Served) -> pb2.Conversation:
    await served.publish(mail("1", ADA), mail("2", DESK, (ADA,), cites=("1",), is_sent=True))
    await served.follow()
    (found,) = await served.all()
    return found
