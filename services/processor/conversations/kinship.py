"""The conversations that a mail is related to, and whether it may join one of them. Pure.

Kinship is a reply token, a cited message, or the provider's thread. The right to join has a mail whose author is the
requester, an agent, or an address that one of these put in a visible To or Cc. Subjects, numbers, texts and blind
copies give neither.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from services.processor.conversations.addresses import Ours
from services.processor.conversations.letter import Letter

MAX_HOPS = 8
MAX_CANDIDATES = 20
AUTOMATIC_AN_HOUR = 5
MAX_AUTOMATIC_AN_HOUR = 100
DEFAULT_REOPEN_DAYS = 14
HOUR = timedelta(hours=1)
FINAL = frozenset((pb2.CONVERSATION_STATE_CLOSED, pb2.CONVERSATION_STATE_MERGED))


@dataclass
class Card:
    """A conversation, and what its fuse counts.

    Args:
        conversation: The conversation as callers see it.
        is_forwarded: Whether an agent's mail began it, and its customer is not named yet.
        reopenings: The times of its last reopenings.
        automatic: The times of its last machine mails.
    """

    conversation: pb2.Conversation
    is_forwarded: bool = False
    reopenings: list[datetime] = field(default_factory=list)
    automatic: list[datetime] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """The relations of a mail in the store.

    Args:
        cards: The related conversations by id, with those that they were merged into.
        links: By digest, the related conversations, and whether the digest is that of a message of theirs.
    """

    cards: Mapping[str, Card]
    links: Mapping[bytes, Sequence[tuple[str, bool]]]


@dataclass(frozen=True)
class Kin:
    """A related conversation: by which kinship, and whether by a message of its own."""

    card: Card
    kinship: "pb2.JoinReason.ValueType"
    is_own: bool


def kin_of(letter: Letter, known: Known) -> list[Kin]:
    """Return the related conversations: by token, by cited messages from the nearest, by the provider's thread."""
    relations = [
        *((one, pb2.JOIN_REASON_REPLY_TOKEN) for one in letter.tokens),
        *((one, pb2.JOIN_REASON_REFERENCES) for one in (*letter.parents, letter.own_id) if one),
        *((one, pb2.JOIN_REASON_PROVIDER_THREAD) for one in (letter.thread,) if one),
    ]
    found: dict[str, Kin] = {}
    for relation, kinship in relations:
        for identity, is_own in sorted(known.links.get(relation, ()), key=lambda one: (not one[1], one[0])):
            card = _target(identity, known)
            if card is not None and len(found) < MAX_CANDIDATES:
                found.setdefault(card.conversation.conversation_id, Kin(card, kinship, is_own))
    return list(found.values())


def _target(identity: str, known: Known) -> Card | None:
    """Follow the pointers of merges, a bounded number of them."""
    card = known.cards.get(identity)
    for _ in range(MAX_HOPS):
        if card is None or not card.conversation.merged_into:
            return card
        card = known.cards.get(card.conversation.merged_into)
    return None


def refusal_of(letter: Letter, kin: Kin, ours: Ours, settings: pb2.ConversationSettings) -> str:
    """Return why a mail may not join a related conversation; empty when it may."""
    if letter.authenticity == pb2.AUTHENTICITY_FAIL and letter.direction != pb2.DIRECTION_OUTBOUND:
        return "SENDER_FAILED"
    if letter.is_carrier:
        return "CARRIER"
    conversation = kin.card.conversation
    people = people_of(conversation)
    if letter.is_agent:
        refusal = _refusal_of_agent(letter, kin, people, ours)
    elif letter.sender not in people:
        refusal = "NO_STANDING"
    elif letter.authenticity != pb2.AUTHENTICITY_PASS and not settings.accepts_unproven:
        refusal = "SENDER_UNPROVEN"
    else:
        refusal = ""
    return refusal or _refusal_of_state(letter, kin.card, settings)


def _refusal_of_agent(letter: Letter, kin: Kin, people: set[str], ours: Ours) -> str:
    """An agent stands everywhere; so the mail itself must show that it belongs to this customer."""
    if letter.is_forward:
        return "FORWARD"
    addressed = {*letter.visible, *letter.hidden}
    if addressed & people:
        return ""
    is_note = not ours.outsiders(addressed) and kin.is_own and kin.kinship != pb2.JOIN_REASON_PROVIDER_THREAD
    return "" if is_note else "RECIPIENTS_ELSEWHERE"


def _refusal_of_state(letter: Letter, card: Card, settings: pb2.ConversationSettings) -> str:
    conversation = card.conversation
    if conversation.state in FINAL:
        return "FINAL"
    if letter.is_machine:
        return "FUSE" if is_fuse_blown(letter, card, settings) else ""
    window = timedelta(days=settings.reopen_days or DEFAULT_REOPEN_DAYS)
    is_late = letter.at - moment(conversation.last_message_at) > window
    is_reopening = conversation.state == pb2.CONVERSATION_STATE_SOLVED and not letter.is_agent
    return "WINDOW" if is_reopening and is_late else ""


def is_fuse_blown(letter: Letter, card: Card, settings: pb2.ConversationSettings) -> bool:
    """Tell whether a conversation takes no more messages of programs for now."""
    recent = [at for at in card.automatic if letter.at - at < HOUR]
    return len(recent) >= (settings.automatic_an_hour or AUTOMATIC_AN_HOUR)


def people_of(conversation: pb2.Conversation) -> set[str]:
    """Return the requester and the participants; an erased requester has no address, and is none of them."""
    return {conversation.requester, *(one.address for one in conversation.participants)} - {""}


def moment(at: Timestamp) -> datetime:
    """Return a message's time; the earliest time for an empty one."""
    return at.ToDatetime(UTC)
