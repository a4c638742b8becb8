"""Follow the stream, and put the mail of enabled tenants into conversations: exactly once, by any number of followers.

A tenant's place in the stream, its conversations and their events are one commit.
"""

import secrets

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from mailmesh.conversation.v1 import event_pb2 as event_messages
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.processor.conversations.addresses import Ours
from services.processor.conversations.bounces import Report, bounce_of, report_of
from services.processor.conversations.drafts import BY_MAIL, draft
from services.processor.conversations.intake import REPORT, Change, Intake, Owner, take_in, token_link
from services.processor.conversations.letter import TOKEN_CHARACTERS, Letter, letter_of
from services.processor.conversations.store import conversations as store
from services.processor.conversations.store import reports as report_store
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
        drafts = [] if taken is None else await self._save(connection, event, letter, taken)
        return drafts + await self._bounces(connection, event, letter, taken, settings)

    async def _save(
        self, connection: db.Connection, event: mail_pb2.NormalizedMailEvent, letter: Letter, taken: Intake
    ) -> list[EventDraft]:
        conversation = taken.card.conversation
        links = {**taken.links, token_link(conversation.reply_token): True}
        await store.save(connection, taken.card)
        await store.add_message(connection, event.tenant_id, taken.message, letter.own_id)
        await store.link(connection, event.tenant_id, conversation.conversation_id, links)
        return [self._draft(one, event, message=taken.message) for one in taken.changes]

    async def _bounces(
        self,
        connection: db.Connection,
        event: mail_pb2.NormalizedMailEvent,
        letter: Letter,
        taken: Intake | None,
        settings: pb2.ConversationSettings,
    ) -> list[EventDraft]:
        """Return the bounces that a mail reports, or that came before the mail which did not arrive."""
        found: list[tuple[Report, pb2.ConversationMessage]] = []
        if (report := report_of(letter)) is not None:
            sent = await report_store.sent(connection, event.tenant_id, letter.bounced_id)
            if sent is None:
                await report_store.keep(connection, event.tenant_id, letter.bounced_id, report, self._clock.now())
                return []
            found = [(report, sent)]
        elif taken is not None and letter.direction == pb2.DIRECTION_OUTBOUND and letter.own_id:
            waiting = await report_store.take(connection, event.tenant_id, letter.own_id)
            found = [(one, taken.message) for one in waiting]
        drafts = []
        for report, sent in found:
            cards = await store.followed(connection, event.tenant_id, {sent.conversation_id})
            if (matched := bounce_of(report, sent, cards, letter, settings)) is not None:
                card, bounce = matched
                await store.save(connection, card)
                change = Change("conversation.bounced", card.conversation, REPORT, send_id=sent.send_id)
                drafts.append(self._draft(change, event, bounce=bounce))
        return drafts

    def _draft(
        self,
        change: Change,
        event: mail_pb2.NormalizedMailEvent,
        *,
        message: pb2.ConversationMessage | None = None,
        bounce: event_messages.ConversationBounce | None = None,
    ) -> EventDraft:
        return draft(
            change,
            event.provider,
            (event.external_tenant_id, event.user_id),
            self._clock.now(),
            event.correlation_id,
            actor=BY_MAIL,
            message=message,
            bounce=bounce,
        )
