"""Follow the stream, and put the mail of enabled tenants into conversations: exactly once, by any number of followers.

A tenant's place in the stream, its conversations and their events are one commit.
"""

import secrets

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.processor.conversations.addresses import Ours
from services.processor.conversations.drafts import BY_MAIL, draft
from services.processor.conversations.intake import Owner, take_in, token_link
from services.processor.conversations.letter import TOKEN_CHARACTERS, letter_of
from services.processor.conversations.store import conversations as store
from services.processor.conversations.store import settings as settings_store
from services.processor.conversations.store.settings import TenantSettings
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EventReader
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.turns import Turns, resume

_PAGE = 100
_TYPES = ["mail.created", "mail.enriched"]


class Follower:
    """Puts mail into conversations.

    Args:
        pool: Connections to PostgreSQL.
        reader: Reads the stream.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, reader: EventReader, clock: Clock) -> None:
        self._pool = pool
        self._reader = reader
        self._clock = clock
        self._turns = Turns(pool, "conversations", settings_store.TABLE, self._read)

    async def round(self) -> int:
        """Read the next events of some tenants; return how many went on. Safe to call again: a mail is taken once."""
        return await self._turns.round()

    async def _read(self, tenant_id: str) -> None:
        async with db.connection(self._pool) as connection:
            before = await settings_store.read(connection, tenant_id)
        if before is None:
            return
        selection = Selection(tenants=frozenset((tenant_id,)), event_types=_TYPES)
        start = await resume(self._reader, before.cursor)
        page = await self._reader.page(start, selection, event_pb2.EVENT_VIEW_BODY, _PAGE)
        async with db.transaction(self._pool) as connection:
            current = await settings_store.lock(connection, tenant_id)
            # Another process was faster when the place has changed.
            if current is None or current.cursor != before.cursor or not current.settings.is_enabled:
                return
            drafts = [one for event in page.events for one in await self._take_in(connection, event.mail, current)]
            await settings_store.advance(connection, tenant_id, page.next.write(), page.next.position)
            if drafts:
                await publish(connection, drafts)

    async def _take_in(
        self, connection: db.Connection, event: mail_pb2.NormalizedMailEvent, tenant: TenantSettings
    ) -> list[EventDraft]:
        if not event.is_enriched or event.message.is_draft:
            return []
        if await store.of_message(connection, event.tenant_id, event.message_id) is not None:
            return []
        settings = tenant.settings
        ours = Ours(settings)
        letter = letter_of(event, ours, accepts_unproven=settings.accepts_unproven)
        known = await store.known(connection, event.tenant_id, letter.digests)
        owner = Owner(event.tenant_id, secrets.token_hex(TOKEN_CHARACTERS // 2))
        taken = take_in(letter, known, ours, settings, owner)
        if taken is None:
            return []
        conversation = taken.card.conversation
        links = {**taken.links, token_link(conversation.reply_token): True}
        await store.save(connection, taken.card)
        await store.add_message(connection, event.tenant_id, taken.message, letter.own_id)
        await store.link(connection, event.tenant_id, conversation.conversation_id, links)
        account, now = (event.external_tenant_id, event.user_id), self._clock.now()
        return [
            draft(
                one,
                event.provider,
                account,
                now,
                event.correlation_id,
                actor=BY_MAIL,
                message=taken.message,
            )
            for one in taken.changes
        ]
