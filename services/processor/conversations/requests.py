"""The use cases of callers: read conversations, change them by version, and choose the settings of a tenant."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from mailmesh.processor.v1.send_service_pb2 import SendRequest
from services.meshkit import db
from services.meshkit.addresses import plain
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlation_id
from services.meshkit.errors import FieldInvalid
from services.processor.conversations.drafts import draft
from services.processor.conversations.errors import (
    ConversationChanged,
    ConversationClaimed,
    ConversationFinal,
    ConversationNotFound,
    ConversationRequestersDiffer,
)
from services.processor.conversations.intake import CALLER, Change, change, conversation_id, stamp, token_link
from services.processor.conversations.kinship import FINAL, MAX_HOPS, Card, moment
from services.processor.conversations.letter import TOKEN_CHARACTERS
from services.processor.conversations.store import conversations as store
from services.processor.conversations.store import settings as settings_store
from services.processor.errors import TenantNotFound
from services.processor.stream.pages import LATEST, EventReader
from services.processor.stream.publish import publish
from services.processor.stream.store import tenants

CLAIM = timedelta(seconds=120)


@dataclass(frozen=True)
class Actor:
    """A caller: the id of its key, and the tenants that it may see; None means all."""

    key_id: str
    scope: list[str] | None


class Conversations:
    """Conversations for callers.

    Args:
        pool: Connections to PostgreSQL.
        reader: Knows the end of the stream.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, reader: EventReader, clock: Clock) -> None:
        self._pool = pool
        self._reader = reader
        self._clock = clock

    async def get(self, identity: str, actor: Actor) -> pb2.Conversation:
        """Return a conversation. Raises `ConversationNotFound`."""
        async with db.connection(self._pool) as connection:
            return (await _found(connection, identity, actor)).conversation

    async def page(
        self, tenant_id: str, states: Sequence[int], before: tuple[datetime, str] | None, limit: int, actor: Actor
    ) -> list[pb2.Conversation]:
        """Return conversations of a tenant, the newest first; none of a tenant out of scope."""
        if actor.scope is not None and tenant_id not in actor.scope:
            return []
        async with db.connection(self._pool) as connection:
            return await store.page(connection, tenant_id, states, before, limit)

    async def messages(
        self, identity: str, after: tuple[datetime, str] | None, limit: int, actor: Actor
    ) -> list[pb2.ConversationMessage]:
        """Return messages of a conversation, the oldest first. Raises `ConversationNotFound`."""
        async with db.connection(self._pool) as connection:
            await _found(connection, identity, actor)
            return await store.messages(connection, identity, after, limit)

    async def set_state(
        self, identity: str, version: int, state: "pb2.ConversationState.ValueType", actor: Actor
    ) -> pb2.Conversation:
        """Set the state of a conversation. Raises `ConversationChanged`, `ConversationFinal`."""
        async with self._changing(identity, actor, version) as (connection, card):
            conversation = card.conversation
            if conversation.state != state:
                conversation.state = state
                if state in (pb2.CONVERSATION_STATE_SOLVED, pb2.CONVERSATION_STATE_CLOSED):
                    conversation.waiting_on = pb2.SIDE_UNSPECIFIED
                    conversation.ClearField("waiting_since")
                await self._write(connection, card, [change(conversation, "state_changed", CALLER)], actor)
            return conversation

    async def merge(self, identity: str, version: int, into: str, actor: Actor) -> pb2.Conversation:
        """Merge a conversation into another one of the same requester and tenant: a pointer, nothing moves.

        Raises:
            ConversationRequestersDiffer: The requesters differ, or are erased.
            ConversationFinal: One of them is final, or the pointers would be too many or a circle.
        """
        async with self._changing(identity, actor, version) as (connection, card):
            conversation = card.conversation
            target = await _found(connection, into, actor)
            if target.conversation.tenant_id != conversation.tenant_id:
                raise ConversationNotFound(resource=into, metadata={"conversation_id": into})
            if into == identity:
                raise FieldInvalid.of("into_conversation_id", "must be another conversation")
            requester = conversation.requester
            if not requester or target.conversation.requester != requester:  # two erased ones may be two persons
                raise ConversationRequestersDiffer(subject=identity, metadata={"conversation_id": identity})
            check_open(target)
            if await store.depth(connection, identity) >= MAX_HOPS:
                raise ConversationFinal(subject=identity, metadata={"conversation_id": identity})
            conversation.state, conversation.merged_into = pb2.CONVERSATION_STATE_MERGED, into
            await self._write(connection, card, [change(conversation, "merged", CALLER, into)], actor)
            return conversation

    async def link(self, identity: str, version: int, to: str, external_ref: str, actor: Actor) -> pb2.Conversation:
        """Relate a conversation to another one of its tenant, or to the caller's record; empty leaves either as it is.

        Safe to call again: the same link is no change.

        Raises:
            FieldInvalid: It would be a link to itself.
        """
        async with self._changing(identity, actor, version) as (connection, card):
            conversation = card.conversation
            if to == identity:
                raise FieldInvalid.of("to_conversation_id", "must be another conversation")
            if to and (await _found(connection, to, actor)).conversation.tenant_id != conversation.tenant_id:
                raise ConversationNotFound(resource=to, metadata={"conversation_id": to})
            before = (conversation.linked_to, conversation.external_ref)
            conversation.linked_to, conversation.external_ref = to or before[0], external_ref or before[1]
            if before != (conversation.linked_to, conversation.external_ref):
                await self._write(connection, card, [change(conversation, "linked", CALLER, to)], actor)
            return conversation

    async def split(
        self, identity: str, version: int, message_ids: Sequence[str], actor: Actor
    ) -> tuple[pb2.Conversation, pb2.Conversation]:
        """Move messages into a new conversation, whose requester is the first message's outside sender.

        Raises:
            FieldInvalid: A message is not in the conversation, or none would stay, or an agent wrote the first.
        """
        async with self._changing(identity, actor, version) as (connection, card):
            kept, moved = await _divided(connection, identity, message_ids)
            first = next((one for one in moved if one.author in _OUTSIDE), None)
            if first is None or not kept:
                raise FieldInvalid.of("message_ids", "must have a message of an outside sender, and leave one message")
            old = card.conversation
            made = pb2.Conversation(
                conversation_id=conversation_id(old.tenant_id, f"split/{identity}/{first.message_id}/{old.version}"),
                tenant_id=old.tenant_id, requester=first.sender, subject=old.subject, state=pb2.CONVERSATION_STATE_OPEN,
                mailbox_address=old.mailbox_address,
                split_from=identity, last_message_at=moved[-1].at, last_message_id=moved[-1].message_id,
                first_inbound_at=first.at, waiting_on=pb2.SIDE_US, waiting_since=moved[-1].at,
                reply_token=secrets.token_hex(TOKEN_CHARACTERS // 2),
            )  # fmt: skip
            old.last_message_at.CopyFrom(kept[-1].at)
            old.last_message_id = kept[-1].message_id
            await store.move_messages(connection, old.tenant_id, moved, made.conversation_id)
            await store.link(connection, old.tenant_id, made.conversation_id, {token_link(made.reply_token): True})
            changes = [change(old, "split", CALLER, made.conversation_id), change(made, "opened", "SPLIT", identity)]
            await store.save(connection, Card(made))
            await self._write(connection, card, changes, actor)
            return old, made

    async def claim(self, identity: str, name: str, actor: Actor) -> pb2.Conversation:
        """Claim a conversation for `CLAIM`. It is advice to people: it makes no event and no version."""
        async with self._changing(identity, actor) as (connection, card):
            conversation, now = card.conversation, self._clock.now()
            if conversation.claimed_by not in ("", name) and moment(conversation.claimed_until) > now:
                metadata = {"conversation_id": identity, "claimed_by": conversation.claimed_by}
                raise ConversationClaimed(subject=identity, metadata=metadata)
            conversation.claimed_by = name
            conversation.claimed_until.CopyFrom(stamp(now + CLAIM))
            await store.save(connection, card)
            return conversation

    async def release(self, identity: str, name: str, actor: Actor) -> pb2.Conversation:
        """End a claim of a name; another name's claim stays."""
        async with self._changing(identity, actor) as (connection, card):
            if card.conversation.claimed_by == name:
                card.conversation.ClearField("claimed_by")
                card.conversation.ClearField("claimed_until")
                await store.save(connection, card)
            return card.conversation

    async def assign(self, identity: str, version: int, assignee: str, actor: Actor) -> pb2.Conversation:
        """Name who has a conversation. Safe to call again: the same assignee is no change."""
        async with self._changing(identity, actor, version) as (connection, card):
            if card.conversation.assignee != assignee:
                card.conversation.assignee = assignee
                await self._write(connection, card, [change(card.conversation, "assigned", CALLER)], actor)
            return card.conversation

    async def set_original_sender(self, identity: str, version: int, address: str, actor: Actor) -> pb2.Conversation:
        """Name the customer of a conversation that an agent's mail began, before the first answer."""
        sender = plain(address)
        if not sender:
            raise FieldInvalid.of("address", "must be an address")
        async with self._changing(identity, actor, version) as (connection, card):
            conversation = card.conversation
            if not card.is_forwarded or conversation.HasField("first_reply_at"):
                raise ConversationFinal(subject=identity, metadata={"conversation_id": identity})
            conversation.requester, card.is_forwarded = sender, False
            await self._write(connection, card, [change(conversation, "participants_changed", CALLER)], actor)
            return conversation

    async def answer(self, connection: db.Connection, send: SendRequest, send_id: str, key_id: str) -> None:
        """Commit an answer to a conversation with its send, in the send's transaction. A draft changes no version.

        Args:
            connection: A connection in the transaction that commits the send.
            send: The request; one that is no answer in a conversation is ignored.
            send_id: The send's UUID.
            key_id: The id of the caller's key.

        Raises:
            ConversationNotFound: The tenant has no such conversation.
            ConversationChanged: It has changed since the caller read it.
            ConversationFinal: It is closed or merged.
            FieldInvalid: The mail that is answered is in another conversation.
        """
        reply = send.reply
        if not reply.conversation_id:
            return
        actor = Actor(key_id, [send.tenant_id])
        card = await locked(connection, reply.conversation_id, actor, reply.expected_version)
        within = await store.of_message(connection, send.tenant_id, reply.message_id)
        if within is None or not await store.leads_to(connection, send.tenant_id, within, reply.conversation_id):
            raise FieldInvalid.of("reply.message_id", "must be a mail of the conversation")
        if not send.is_draft_only:
            committed = change(card.conversation, "answer_committed", CALLER, send_id=send_id)
            await self._write(connection, card, [committed], actor)

    async def settings(self, tenant_id: str, actor: Actor) -> pb2.ConversationSettings:
        """Return a tenant's settings; those of a tenant without any are empty. Raises `TenantNotFound`."""
        async with db.connection(self._pool) as connection:
            await _check_tenant(connection, tenant_id, actor)
            found = await settings_store.read(connection, tenant_id)
        return pb2.ConversationSettings() if found is None else found.settings

    async def update_settings(
        self, tenant_id: str, settings: pb2.ConversationSettings, actor: Actor
    ) -> pb2.ConversationSettings:
        """Replace a tenant's settings. Safe to call again: yes. Raises `TenantNotFound`."""
        end = await self._reader.start(LATEST, LATEST)
        async with db.transaction(self._pool) as connection:
            await _check_tenant(connection, tenant_id, actor)
            await settings_store.save(connection, tenant_id, settings, end.write(), end.position)
        return settings

    @asynccontextmanager
    async def _changing(
        self, identity: str, actor: Actor, version: int | None = None
    ) -> AsyncIterator[tuple[db.Connection, Card]]:
        """Lock a conversation's tenant, and check the version that the caller has seen."""
        async with db.transaction(self._pool) as connection:
            yield connection, await locked(connection, identity, actor, version)

    async def _write(self, connection: db.Connection, card: Card, changes: Sequence[Change], actor: Actor) -> None:
        await store.save(connection, card)
        tenant_id = card.conversation.tenant_id
        granted = await tenants.granted(connection, tenant_id)
        account = await tenants.account_of(connection, tenant_id)
        provider, now = granted[0] if granted else "", self._clock.now()
        await publish(
            connection,
            [draft(one, provider, account, now, correlation_id(), actor=actor.key_id) for one in changes],
        )


_OUTSIDE = (pb2.AUTHOR_REQUESTER, pb2.AUTHOR_PARTICIPANT)
_MAX_MESSAGES = 10_000


async def _found(connection: db.Connection, identity: str, actor: Actor) -> Card:
    card = await store.by_id(connection, identity, actor.scope)
    if card is None:
        raise ConversationNotFound(resource=identity, metadata={"conversation_id": identity})
    return card


async def locked(connection: db.Connection, identity: str, actor: Actor, version: int | None = None) -> Card:
    """Lock the conversations of a tenant until the transaction ends, and check the version that the caller has seen.

    Raises:
        ConversationNotFound: There is no such conversation in scope.
        ConversationChanged: It has changed since the caller read it.
        ConversationFinal: A version was given, and it is closed or merged.
    """
    tenant_id = (await _found(connection, identity, actor)).conversation.tenant_id
    await settings_store.lock(connection, tenant_id)
    card = await _found(connection, identity, actor)
    if version is not None:
        _check_version(card.conversation, version)
        check_open(card)
    return card


async def _check_tenant(connection: db.Connection, tenant_id: str, actor: Actor) -> None:
    is_in_scope = actor.scope is None or tenant_id in actor.scope
    if not is_in_scope or await tenants.granted(connection, tenant_id) is None:
        raise TenantNotFound.of(tenant_id)


def _check_version(conversation: pb2.Conversation, version: int) -> None:
    if conversation.version != version:
        raise ConversationChanged(
            metadata={
                "conversation_id": conversation.conversation_id,
                "version": str(conversation.version),
                "last_message_id": conversation.last_message_id,
            }
        )


def check_open(card: Card) -> None:
    """Let a conversation through that is not final. Raises `ConversationFinal`."""
    if card.conversation.state in FINAL:
        identity = card.conversation.conversation_id
        raise ConversationFinal(subject=identity, metadata={"conversation_id": identity})


async def _divided(
    connection: db.Connection, identity: str, message_ids: Sequence[str]
) -> tuple[list[pb2.ConversationMessage], list[pb2.ConversationMessage]]:
    """Divide the messages of a conversation into those that stay and those that move."""
    messages, wanted = await store.messages(connection, identity, None, _MAX_MESSAGES), set(message_ids)
    moved = [one for one in messages if one.message_id in wanted]
    if len(moved) != len(wanted):
        raise FieldInvalid.of("message_ids", "must name messages of the conversation")
    return [one for one in messages if one.message_id not in wanted], moved
