"""Threads: assign each mail to a conversation.

A mail joins a thread by In-Reply-To or References when its sender took part in that thread or the provider's
conversation agrees, else by the provider's conversation alone, else it begins a thread. The subject never counts, and
an outsider who forges In-Reply-To joins nothing. A mail that comes after its own reply joins the thread that the reply
began, when the conversation agrees or the reply's author is among the people of the mail.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from mailmesh.mail.v1 import message_pb2
from services.meshkit import db
from services.meshkit.addresses import plain
from services.meshkit.ids import new_id
from services.processor.mail.store import threads as store
from services.processor.mail.store.facts import MessageFacts
from services.processor.mail.store.threads import Membership, ThreadQuestion

MAX_REFERENCES = 50
"""The number of nearest references that are read and stored."""
_DIGEST_BYTES = 16

Reason = message_pb2.ThreadReason


@dataclass(frozen=True)
class _Decision:
    thread_id: UUID
    reason: "message_pb2.ThreadReason.ValueType"
    message_id: str = ""


class _Links:
    """The identifiers of a mail that decide its thread."""

    def __init__(self, message: message_pb2.MailMessage) -> None:
        self.conversation = message.thread.provider_thread_id
        self.sender = _compared(message.from_address.address)
        self.in_reply_to = message.in_reply_to
        self.own = _digest(message.internet_message_id) if message.internet_message_id else None
        nearest = [message.in_reply_to, *reversed(message.references[-MAX_REFERENCES:])]
        named = (name for name in dict.fromkeys(nearest) if name and name != message.internet_message_id)
        self.parents = {name: _digest(name) for name in named}
        self.writers = {self.sender, _compared(message.sender.address)} - {""}
        self.people = set(_people(message))

    @property
    def digests(self) -> set[bytes]:
        """The digests of all message ids that the mail has and names."""
        return {*self.parents.values(), *([] if self.own is None else [self.own])}


class Threads:
    """Finds or begins the threads of the mails of one commit. An assigned thread never changes.

    The facts about all of them are read at once, and their additions are written at once. In between, each mail is
    assigned in its turn and sees the additions of the mails before it.
    """

    def __init__(
        self, given: dict[str, message_pb2.Thread], links: Mapping[str, _Links], known: store.ThreadFacts
    ) -> None:
        self._given = given
        self._links = links
        self._known = known
        self._learned = store.ThreadFacts()
        self._memberships: list[Membership] = []

    @classmethod
    async def of(
        cls,
        connection: db.Connection,
        tenant_id: str,
        mails: Mapping[str, message_pb2.MailMessage],
        known: MessageFacts,
    ) -> Self:
        """Prepare the threads of some mails; read the facts about them that are missing, as a rule none.

        Args:
            connection: A connection.
            tenant_id: The tenant's UUID.
            mails: The mails by the provider's id. `thread.provider_thread_id` is the provider's conversation.
            known: The facts about their messages, and about the threads that were asked for with them.
        """
        given = {
            message_id: message_pb2.Thread(
                thread_id=str(row["thread_id"]),
                provider_thread_id=row["provider_thread_id"],
                reason=row["reason"],
                reason_message_id=row["reason_message_id"],
            )
            for message_id, row in known.threads.items()
            if message_id in mails
        }
        links = {message_id: _Links(mail) for message_id, mail in mails.items() if message_id not in given}
        question = _question(links.values())
        is_answered = known.question.covers(question)
        return cls(given, links, known.related if is_answered else await store.facts(connection, tenant_id, question))

    def assign(self, message_id: str) -> message_pb2.Thread:
        """Find or begin the thread of one of the mails. Safe to call again: yes, with the same answer."""
        if message_id not in self._given:
            links = self._links[message_id]
            decision = self._decide(links)
            self._note(message_id, links, decision)
            self._given[message_id] = message_pb2.Thread(
                thread_id=str(decision.thread_id),
                provider_thread_id=links.conversation,
                reason=decision.reason,
                reason_message_id=decision.message_id,
            )
        return self._given[message_id]

    @property
    def additions(self) -> store.ThreadAdditions:
        """The additions of the mails assigned so far, to be written in the same transaction."""
        return store.ThreadAdditions(self._memberships, self._learned)

    def _decide(self, links: _Links) -> _Decision:
        conversation = self._known.conversations.get(links.conversation) if links.conversation else None
        decision = self._by_parent(links, conversation) or self._by_child(links, conversation)
        if decision is not None:
            return decision
        if conversation is not None:
            return _Decision(conversation, Reason.THREAD_REASON_CONVERSATION)
        return _Decision(UUID(new_id()), Reason.THREAD_REASON_STARTED)

    def _by_parent(self, links: _Links, conversation: UUID | None) -> _Decision | None:
        """Return the nearest message that the mail answers, in a thread that admits it: its sender took part there."""
        for parent, digest in links.parents.items():
            for thread_id, _ in self._candidates(digest):
                if links.sender in self._known.people.get(thread_id, ()) or thread_id == conversation:
                    is_direct = parent == links.in_reply_to
                    reason = Reason.THREAD_REASON_IN_REPLY_TO if is_direct else Reason.THREAD_REASON_REFERENCES
                    return _Decision(thread_id, reason, parent)
        return None

    def _by_child(self, links: _Links, conversation: UUID | None) -> _Decision | None:
        """Return a thread that a reply to the mail has begun, when an author there is among the mail's people."""
        for thread_id, is_own in self._candidates(links.own) if links.own is not None else ():
            wrote = self._known.people.get(thread_id, {})
            is_let_in = any(wrote.get(address) for address in links.people) or thread_id == conversation
            if not is_own and is_let_in:
                return _Decision(thread_id, Reason.THREAD_REASON_CHILD_ARRIVED_FIRST)
        return None

    def _candidates(self, digest: bytes) -> list[tuple[UUID, bool]]:
        """Return the threads that know a message id, those that contain its message first."""
        return sorted(self._known.ids.get(digest, {}).items(), key=lambda one: (not one[1], one[0]))

    def _note(self, message_id: str, links: _Links, decision: _Decision) -> None:
        """Add the facts that the mail brings to its thread, for the mails after it and for the store.

        A message id belongs to the thread that contains its message: a mail whose headers did not admit it there
        cannot claim the id.
        """
        thread_id, known = decision.thread_id, self._known
        taken = {digest for digest in links.parents.values() if any(known.ids.get(digest, {}).values())}
        if links.conversation and links.conversation not in known.conversations:
            known.conversations[links.conversation] = self._learned.conversations[links.conversation] = thread_id
        for facts in (known, self._learned):
            for digest in links.parents.values():
                if digest not in taken:
                    facts.ids.setdefault(digest, {}).setdefault(thread_id, False)
            if links.own is not None:
                facts.ids.setdefault(links.own, {})[thread_id] = True
            people = facts.people.setdefault(thread_id, {})
            for address in links.people:
                people[address] = people.get(address, False) or address in links.writers
        self._memberships.append(
            Membership(message_id, thread_id, links.conversation, decision.reason, decision.message_id)
        )


def question_about(mails: Iterable[message_pb2.MailMessage]) -> ThreadQuestion:
    """Return the keys of the facts that decide the threads of some mails."""
    return _question(map(_Links, mails))


def _question(links: Iterable[_Links]) -> ThreadQuestion:
    asked = list(links)
    return ThreadQuestion(
        frozenset({one.conversation for one in asked} - {""}),
        frozenset(digest for one in asked for digest in one.digests),
        frozenset(address for one in asked for address in (*one.people, *one.writers)),
    )


def _people(message: message_pb2.MailMessage) -> Iterator[str]:
    for recipients in (message.to, message.cc, message.bcc, message.reply_to, [message.from_address, message.sender]):
        yield from (_compared(one.address) for one in recipients if one.address)


def _compared(address: str) -> str:
    """Return the form in which addresses are compared; a name of Exchange, which is no address, has its own."""
    return plain(address) or address.lower()


def _digest(message_id: str) -> bytes:
    return hashlib.blake2b(message_id.encode(), digest_size=_DIGEST_BYTES).digest()
