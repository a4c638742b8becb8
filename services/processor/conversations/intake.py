"""Put one mail into a conversation: pure, and the only place where mail joins one.

A mail joins by kinship and the right to join, which `kinship` decides. With only one of them it begins a conversation
of its own.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from services.processor.conversations.addresses import Ours
from services.processor.conversations.kinship import (
    HOUR,
    MAX_AUTOMATIC_AN_HOUR,
    Card,
    Kin,
    Known,
    kin_of,
    moment,
    refusal_of,
)
from services.processor.conversations.letter import Letter, digest, topic

MAX_PARTICIPANTS = 200
REOPENINGS_AN_HOUR = 3
CALLER, TIMER, REPORT = "CALLER", "TIMER", "REPORT"
_JOINED = {
    pb2.JOIN_REASON_REPLY_TOKEN: "REPLY_TOKEN",
    pb2.JOIN_REASON_REFERENCES: "REFERENCES",
    pb2.JOIN_REASON_PROVIDER_THREAD: "PROVIDER_THREAD",
}
_NAMESPACE = uuid.UUID("5f0c0a6e-6f0b-5d0a-9a53-6d61696c6d73")


@dataclass(frozen=True)
class Change:
    """One event of a conversation: its type, the state after it, its cause, the other conversation, and the send."""

    event_type: str
    conversation: pb2.Conversation
    reason: str
    other: str = ""
    send_id: str = ""


@dataclass(frozen=True)
class Intake:
    """A mail in its conversation.

    Args:
        card: The conversation after the mail.
        message: The mail's entry.
        changes: The events, in order.
        links: The digests that relate later mail to the conversation, and whether each is the mail's own id.
    """

    card: Card
    message: pb2.ConversationMessage
    changes: Sequence[Change]
    links: Mapping[bytes, bool]


def conversation_id(tenant_id: str, message_id: str) -> str:
    """Return the id of the conversation that a message begins: the same at every repetition."""
    return str(uuid.uuid5(_NAMESPACE, f"{tenant_id}/{message_id}"))


def take_in(
    letter: Letter, known: Known, ours: Ours, settings: pb2.ConversationSettings, tenant: "Owner"
) -> Intake | None:
    """Put a mail into a conversation.

    Args:
        letter: The mail, which is in no conversation yet.
        known: Its relations. The cards are changed.
        ours: The tenant's own addresses.
        settings: The tenant's settings.
        tenant: The tenant, and a source of reply tokens.

    Returns:
        The conversation; None for machine mail that belongs to none, and for mail without an outside address.
    """
    attempts: list[pb2.JoinAttempt] = []
    continued: Card | None = None
    kin = kin_of(letter, known)
    for one in kin:
        refusal = refusal_of(letter, one, ours, settings)
        if refusal in ("FINAL", "WINDOW") and continued is None and not letter.is_machine:
            continued = one.card
        attempts.append(
            pb2.JoinAttempt(conversation_id=one.card.conversation.conversation_id, kinship=one.kinship, refusal=refusal)
        )
        if not refusal:
            return _join(letter, one, attempts, ours, settings)
    if letter.is_machine:
        return None
    is_proven = letter.is_agent or letter.authenticity == pb2.AUTHENTICITY_PASS
    is_proven = is_proven or (letter.authenticity == pb2.AUTHENTICITY_NONE and settings.accepts_unproven)
    return _begin(letter, kin, attempts, ours, tenant, continued, is_proven=is_proven)


@dataclass(frozen=True)
class Owner:
    """The tenant of a conversation, and a new reply token for it."""

    tenant_id: str
    token: str


def _join(
    letter: Letter, kin: Kin, attempts: list[pb2.JoinAttempt], ours: Ours, settings: pb2.ConversationSettings
) -> Intake:
    card, conversation, reason = kin.card, kin.card.conversation, _JOINED[kin.kinship]
    message = _entry(letter, conversation, kin.kinship, attempts)
    changes = [change(conversation, "message_added", reason)]
    if letter.is_machine:
        note_automatic(card, letter.at)
    else:
        _advance(conversation, letter)
        if message.author in (pb2.AUTHOR_REQUESTER, pb2.AUTHOR_AGENT) and _add_people(conversation, letter, ours):
            changes.append(change(conversation, "participants_changed", reason))
        if moved := _move(card, letter, settings):
            changes.append(change(conversation, "state_changed", moved))
    return Intake(card, message, changes, _links(letter))


def _begin(
    letter: Letter,
    kin: Sequence[Kin],
    attempts: list[pb2.JoinAttempt],
    ours: Ours,
    tenant: Owner,
    continued: Card | None,
    *,
    is_proven: bool,
) -> Intake | None:
    """Begin a conversation with its own requester, which never changes."""
    requester = _requester(letter, ours)
    if not requester:
        return None
    conversation = pb2.Conversation(
        conversation_id=conversation_id(tenant.tenant_id, letter.message_id),
        tenant_id=tenant.tenant_id,
        requester=requester,
        subject=letter.subject[:500],
        state=pb2.CONVERSATION_STATE_NEW,
        reply_token=tenant.token,
        mailbox_address=letter.mailbox_address,
    )
    card = Card(conversation, is_forwarded=letter.direction == pb2.DIRECTION_INTERNAL)
    if continued is not None and continued.conversation.requester == requester:
        conversation.follow_up_of = continued.conversation.conversation_id
    elif kin:
        conversation.linked_to = kin[0].card.conversation.conversation_id
    conversation.is_quarantined = _is_quarantined(letter, kin, conversation)
    message = _entry(letter, conversation, pb2.JOIN_REASON_NEW, attempts)
    _advance(conversation, letter)
    # A sender who may not join may not bring others in either: the conversation of a forged sender has no other people.
    if not letter.is_carrier and is_proven:
        _add_people(conversation, letter, ours)
    _move(card, letter, pb2.ConversationSettings())  # of a new one: nothing is opened again
    changes = [change(conversation, "opened", "FOLLOW_UP" if conversation.follow_up_of else "FIRST_MESSAGE")]
    if conversation.linked_to:
        kind = "quarantined" if conversation.is_quarantined else "linked"
        changes.append(change(conversation, kind, attempts[0].refusal, conversation.linked_to))
    return Intake(card, message, changes, _links(letter))


def _is_quarantined(letter: Letter, kin: Sequence[Kin], conversation: pb2.Conversation) -> bool:
    """A stranger's mail that cites a conversation of ours is held apart for a person to see."""
    cites = any(one.is_own and one.kinship != pb2.JOIN_REASON_PROVIDER_THREAD for one in kin) or any(
        one.kinship == pb2.JOIN_REASON_REPLY_TOKEN for one in kin
    )
    return cites and not letter.is_agent and not conversation.follow_up_of


def _requester(letter: Letter, ours: Ours) -> str:
    if letter.direction == pb2.DIRECTION_OUTBOUND:
        return next(iter(ours.outsiders((*letter.visible, *letter.hidden))), "")
    if letter.is_carrier:
        return next(iter(ours.outsiders(letter.reply_to)), letter.sender)
    return letter.sender


def _entry(
    letter: Letter,
    conversation: pb2.Conversation,
    joined_by: "pb2.JoinReason.ValueType",
    attempts: Sequence[pb2.JoinAttempt],
) -> pb2.ConversationMessage:
    author = pb2.AUTHOR_PARTICIPANT
    if letter.is_machine:
        author = pb2.AUTHOR_MACHINE
    elif letter.is_agent:
        author = pb2.AUTHOR_AGENT
    elif letter.sender == conversation.requester or letter.is_carrier:
        author = pb2.AUTHOR_REQUESTER
    return pb2.ConversationMessage(
        message_id=letter.message_id,
        conversation_id=conversation.conversation_id,
        direction=letter.direction,
        author=author,
        sender=letter.sender,
        joined_by=joined_by,
        subject_changed=topic(letter.subject) != topic(conversation.subject),
        sender_authenticated=letter.authenticity,
        attempts=attempts,
        at=stamp(letter.at),
        thread_id=letter.thread_id,
        send_id=letter.send_id,
        reply_spans=letter.spans,
    )


def _advance(conversation: pb2.Conversation, letter: Letter) -> None:
    """Move the times and the side that waits. Machine mail moves none of them."""
    at = stamp(letter.at)
    if letter.at >= moment(conversation.last_message_at):
        conversation.last_message_at.CopyFrom(at)
        conversation.last_message_id = letter.message_id
    side = {pb2.DIRECTION_INBOUND: pb2.SIDE_US, pb2.DIRECTION_OUTBOUND: pb2.SIDE_THEM}.get(letter.direction)
    if letter.direction == pb2.DIRECTION_INBOUND and not conversation.HasField("first_inbound_at"):
        conversation.first_inbound_at.CopyFrom(at)
    if letter.direction == pb2.DIRECTION_OUTBOUND and not conversation.HasField("first_reply_at"):
        conversation.first_reply_at.CopyFrom(at)
    if side is not None and side != conversation.waiting_on:
        conversation.waiting_on = side
        conversation.waiting_since.CopyFrom(at)


def _move(card: Card, letter: Letter, settings: pb2.ConversationSettings) -> str:
    """Move the state by a mail of a person; return why it changed, empty when it did not."""
    conversation, before, reason = card.conversation, card.conversation.state, ""
    if letter.direction == pb2.DIRECTION_OUTBOUND and before != pb2.CONVERSATION_STATE_SOLVED:
        conversation.state, reason = pb2.CONVERSATION_STATE_PENDING, "WE_WROTE"
    elif letter.direction == pb2.DIRECTION_INBOUND and before == pb2.CONVERSATION_STATE_PENDING:
        conversation.state, reason = pb2.CONVERSATION_STATE_OPEN, "CUSTOMER_WROTE"
    elif letter.direction == pb2.DIRECTION_INBOUND and before == pb2.CONVERSATION_STATE_SOLVED:
        card.reopenings = [at for at in card.reopenings if letter.at - at < HOUR]
        if len(card.reopenings) < (settings.reopenings_an_hour or REOPENINGS_AN_HOUR):
            card.reopenings.append(letter.at)
            conversation.state, reason = pb2.CONVERSATION_STATE_OPEN, "REOPENED"
    return reason if conversation.state != before else ""


def _add_people(conversation: pb2.Conversation, letter: Letter, ours: Ours) -> bool:
    """Add the visible outside recipients of a mail of the requester or an agent; return whether there were new ones."""
    present = {conversation.requester, *(one.address for one in conversation.participants)}
    room = MAX_PARTICIPANTS - len(conversation.participants)
    new = [one for one in ours.outsiders(letter.visible) if one not in present][:room]
    for address in new:
        conversation.participants.add(address=address, since_message_id=letter.message_id)
    return bool(new)


def _links(letter: Letter) -> dict[bytes, bool]:
    """Relate later mail: also by ids that this mail cites, since two replies may cite a mail that was never seen."""
    links = dict.fromkeys((*letter.parents, letter.thread), False)
    if letter.own_id:
        links[letter.own_id] = True
    links.pop(b"", None)
    return links


def change(conversation: pb2.Conversation, kind: str, reason: str, other: str = "", send_id: str = "") -> Change:
    """Count a change of a conversation, and return its event with the state after it."""
    conversation.version += 1
    after = pb2.Conversation()
    after.CopyFrom(conversation)
    return Change(f"conversation.{kind}", after, reason, other, send_id)


def note_automatic(card: Card, at: datetime) -> None:
    """Count a message of a program, as far as a fuse may ask for it."""
    card.automatic = [*card.automatic, at][-MAX_AUTOMATIC_AN_HOUR:]


def token_link(token: str) -> bytes:
    """Return the digest by which a reply token relates mail to its conversation."""
    return digest("r", token)


def stamp(at: datetime) -> Timestamp:
    """Return a time as a message."""
    made = Timestamp()
    made.FromDatetime(at)
    return made
