"""Threads: which conversation a mail belongs to.

A mail joins a thread by In-Reply-To or References when its sender took part in that thread or the provider's
conversation agrees, else by the provider's conversation alone, else it begins a thread. The subject never counts, and
an outsider who forges In-Reply-To joins nothing. A mail that comes after its own reply joins the thread that the reply
began, when the conversation agrees or the reply's author is among the people of the mail.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from mailmesh.mail.v1 import message_pb2
from services.meshkit.ids import new_id
from services.processor.store import threads as store
from services.processor.store.connection import Connection
from services.processor.store.threads import Membership, Related

MAX_REFERENCES = 50
"""The nearest references that are looked at and noted."""
_DIGEST_BYTES = 16

Reason = message_pb2.ThreadReason


@dataclass(frozen=True)
class _Decision:
    thread_id: UUID
    reason: "message_pb2.ThreadReason.ValueType"
    message_id: str = ""


class _Links:
    """What a mail says about where it belongs."""

    def __init__(self, message: message_pb2.MailMessage) -> None:
        self.conversation = message.thread.provider_thread_id
        self.sender = message.from_address.address.lower()
        self.own_id = message.internet_message_id
        self.in_reply_to = message.in_reply_to
        nearest = [self.in_reply_to, *reversed(message.references[-MAX_REFERENCES:])]
        self.parents = [parent for parent in dict.fromkeys(nearest) if parent and parent != self.own_id]
        self.writers = sorted({self.sender, message.sender.address.lower()} - {""})
        self.people = sorted(set(_people(message)))

    def membership(self, decision: _Decision) -> Membership:
        """What is noted once it is decided."""
        return Membership(
            thread_id=decision.thread_id,
            provider_thread_id=self.conversation,
            reason=decision.reason,
            reason_message_id=decision.message_id,
            own_id=_digest(self.own_id) if self.own_id else None,
            references=[_digest(parent) for parent in self.parents],
            people=self.people,
            writers=self.writers,
        )


class Threads:
    """Finds or begins the threads of the mails of one commit. A thread once given never changes.

    Args:
        connection: In a transaction that holds the tenant's mailbox.
        tenant_id: The tenant's UUID.
        known: By the provider's id of a mail, the thread that it was given.
    """

    def __init__(self, connection: Connection, tenant_id: str, known: dict[str, message_pb2.Thread]) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._known = known

    @classmethod
    async def of(cls, connection: Connection, tenant_id: str, message_ids: Sequence[str]) -> "Threads":
        """Reads what is known of some mails."""
        rows = await store.assigned(connection, tenant_id, message_ids) if message_ids else {}
        known = {
            message_id: message_pb2.Thread(
                thread_id=str(row["thread_id"]),
                provider_thread_id=row["provider_thread_id"],
                reason=row["reason"],
                reason_message_id=row["reason_message_id"],
            )
            for message_id, row in rows.items()
        }
        return cls(connection, tenant_id, known)

    async def assign(self, message: message_pb2.MailMessage, provider_message_id: str) -> message_pb2.Thread:
        """Finds or begins the thread of a mail.

        Args:
            message: The mail; `message.thread.provider_thread_id` is the provider's conversation.
            provider_message_id: The provider's id of the mail, one of those that were asked about.

        Safe to call again: yes, with the same answer.
        """
        known = self._known.get(provider_message_id)
        if known is None:
            known = self._known[provider_message_id] = await self._joined(message, provider_message_id)
        return known

    async def _joined(self, message: message_pb2.MailMessage, provider_message_id: str) -> message_pb2.Thread:
        links = _Links(message)
        decision = await self._decide(links)
        await store.join(self._connection, self._tenant_id, provider_message_id, links.membership(decision))
        return message_pb2.Thread(
            thread_id=str(decision.thread_id),
            provider_thread_id=links.conversation,
            reason=decision.reason,
            reason_message_id=decision.message_id,
        )

    async def _decide(self, links: _Links) -> _Decision:
        asked = [*links.parents, links.own_id] if links.own_id else links.parents
        found = await store.related(
            self._connection, self._tenant_id, [_digest(message_id) for message_id in asked], links.sender,
            links.people, links.conversation,
        )  # fmt: skip
        decision = _by_parent(links, found) or _by_child(links, found)
        if decision is not None:
            return decision
        if found.conversation is not None:
            return _Decision(found.conversation, Reason.THREAD_REASON_CONVERSATION)
        return _Decision(UUID(new_id()), Reason.THREAD_REASON_STARTED)


def _by_parent(links: _Links, found: Related) -> _Decision | None:
    """The nearest message that it answers, in a thread that lets it in."""
    for parent in links.parents:
        for candidate in found.candidates:
            is_let_in = candidate.has_sender or candidate.thread_id == found.conversation
            if candidate.digest == _digest(parent) and is_let_in:
                is_direct = parent == links.in_reply_to
                reason = Reason.THREAD_REASON_IN_REPLY_TO if is_direct else Reason.THREAD_REASON_REFERENCES
                return _Decision(candidate.thread_id, reason, parent)
    return None


def _by_child(links: _Links, found: Related) -> _Decision | None:
    """A thread that a reply to it has begun."""
    for candidate in found.candidates:
        is_let_in = candidate.has_writer_among_ours or candidate.thread_id == found.conversation
        if links.own_id and candidate.digest == _digest(links.own_id) and not candidate.is_own and is_let_in:
            return _Decision(candidate.thread_id, Reason.THREAD_REASON_CHILD_ARRIVED_FIRST)
    return None


def _people(message: message_pb2.MailMessage) -> Iterator[str]:
    for recipients in (message.to, message.cc, message.bcc, message.reply_to):
        yield from (address.address.lower() for address in recipients if address.address)
    yield from (address.lower() for address in (message.from_address.address, message.sender.address) if address)


def _digest(message_id: str) -> bytes:
    return hashlib.blake2b(message_id.encode(), digest_size=_DIGEST_BYTES).digest()
