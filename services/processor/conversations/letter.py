"""A mail as conversations see it: its people, its relations, its direction and the proof of its sender."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from mailmesh.mail.v1 import event_pb2, message_pb2
from services.meshkit.addresses import plain
from services.processor.conversations.addresses import Ours, tag
from services.providers.names import GOOGLEWS

MAX_REFERENCES = 50
MAX_PEOPLE = 100
MAX_SPANS = 100
TOKEN_CHARACTERS = 32
_SENT = "SENT"
_DELIVERED = frozenset(("delivered-to", "x-original-to"))
_DIGEST_BYTES = 16
_MACHINES = frozenset(
    {
        message_pb2.AUTOMATION_KIND_AUTO_REPLY,
        message_pb2.AUTOMATION_KIND_BOUNCE,
        message_pb2.AUTOMATION_KIND_RECEIPT,
        message_pb2.AUTOMATION_KIND_COMPLAINT,
    }
)
_TOKEN = re.compile(r"[0-9a-f]{32}")
_RESULT = re.compile(r"\b(dmarc|dkim|spf)\s*=\s*([a-z]+)([^;]*)")
_DOMAIN = re.compile(r"(?:header\.d|header\.i|smtp\.mailfrom)\s*=\s*[^\s;]*?([a-z0-9.-]+)(?=[\s;]|\Z)")
_PREFIX = re.compile(r"(?:[^\W\d_]{1,6}(?:\[\d{1,3}\])?\s*(?::|\uff1a)\s*)+")
_FORWARD = re.compile(r"(?:fwd?|wg|tr|rv|i|enc|vs|vb|pd|doorst|ilt|転送|转发|轉寄)\s*(?::|\uff1a)", re.IGNORECASE)
_FOLDED_CHARACTERS = 500


@dataclass(frozen=True)
class Letter:
    """One mail.

    Args:
        message_id: The provider's id.
        sender: The author's plain address.
        visible: The plain addresses in To and Cc, in order.
        hidden: Those in Bcc.
        reply_to: Those in Reply-To.
        subject: The subject.
        at: The time of the mail.
        thread_id: mailmesh's id of the thread.
        own_id: The digest of its Message-ID; empty without one.
        parents: The digests of the ids that it cites, the nearest first.
        thread: The digest of the provider's thread; empty without one.
        tokens: The digests of reply tokens in its recipients.
        direction: Its direction.
        authenticity: The provider's judgement of the sender.
        is_agent: Whether the author is the mailbox or an agent, and proven.
        is_machine: Whether a program wrote it as an answer or a report.
        is_forward: Whether it forwards another mail.
        is_carrier: Whether the author writes for others.
        mailbox_address: The mailbox's own address to which it was sent, or from which; empty when none is there.
        send_id: The id of the send whose copy it is; empty otherwise.
        spans: The new text of its author.
        bounced: The recipients whom a message did not reach, when it reports so.
        bounced_id: The digest of that message's Message-ID; empty otherwise.
    """

    message_id: str
    sender: str
    visible: tuple[str, ...]
    hidden: tuple[str, ...]
    reply_to: tuple[str, ...]
    subject: str
    at: datetime
    thread_id: str
    own_id: bytes
    parents: tuple[bytes, ...]
    thread: bytes
    tokens: tuple[bytes, ...]
    direction: "pb2.Direction.ValueType"
    authenticity: "pb2.Authenticity.ValueType"
    is_agent: bool
    is_machine: bool
    is_forward: bool
    is_carrier: bool
    mailbox_address: str
    send_id: str
    spans: tuple[message_pb2.TextSpan, ...]
    bounced: tuple[message_pb2.ReportedRecipient, ...]
    bounced_id: bytes

    @property
    def digests(self) -> list[bytes]:
        """All digests that relate it to conversations."""
        return list(dict.fromkeys(one for one in (*self.tokens, *self.parents, self.own_id, self.thread) if one))


def letter_of(event: event_pb2.NormalizedMailEvent, ours: Ours, *, accepts_unproven: bool) -> Letter:
    """Read a mail's event.

    Args:
        event: An event with its message and its headers.
        ours: The tenant's own addresses.
        accepts_unproven: Whether an agent counts as one without the provider's judgement.
    """
    mail = event.message
    sender, authenticity = plain(mail.from_address.address), authenticity_of(mail)
    is_sent = ours.is_own(sender) and _is_sent_copy(mail, event)
    is_proven = authenticity == pb2.AUTHENTICITY_PASS or (authenticity == pb2.AUTHENTICITY_NONE and accepts_unproven)
    is_agent = is_sent or (ours.is_agent(sender) and is_proven)
    visible = _people((*mail.to, *mail.cc))
    return Letter(
        message_id=event.message_id,
        sender=sender,
        visible=visible,
        hidden=_people(mail.bcc),
        reply_to=_people(mail.reply_to),
        subject=mail.subject,
        at=(mail.mail_received_at if mail.HasField("mail_received_at") else event.received_at).ToDatetime(UTC),
        thread_id=mail.thread.thread_id,
        own_id=digest("m", mail.internet_message_id),
        parents=_parents(mail),
        thread=digest("t", mail.thread.provider_thread_id),
        tokens=_tokens(visible, ours),
        direction=pb2.DIRECTION_OUTBOUND if is_sent else pb2.DIRECTION_INTERNAL if is_agent else pb2.DIRECTION_INBOUND,
        authenticity=authenticity,
        is_agent=is_agent,
        is_machine=mail.automation in _MACHINES,
        is_forward=_is_forward(mail),
        is_carrier=ours.is_carrier(sender),
        mailbox_address=sender if is_sent else _mailbox_address(mail, visible, ours),
        send_id=event.send_id if is_sent else "",
        spans=tuple(one for one in mail.body.spans if one.kind == message_pb2.TEXT_SPAN_KIND_REPLY)[:MAX_SPANS],
        bounced=(bounced := tuple(one for one in mail.report.recipients[:MAX_PEOPLE] if one.bounce)),
        bounced_id=digest("m", mail.report.original_message_id) if bounced else b"",
    )


def authenticity_of(mail: message_pb2.MailMessage) -> "pb2.Authenticity.ValueType":
    """Return the judgement in the topmost Authentication-Results, which the provider of the mailbox wrote (RFC 8601).

    Fields below it may come from anybody. DMARC decides; without it, a signature or a path of the author's own domain.
    """
    domain = plain(mail.from_address.address).rpartition("@")[2]
    first = next((one.value for one in mail.headers if one.name.lower() == "authentication-results"), "")
    results = _RESULT.findall(first[:4000].lower())
    kinds = {kind: result for kind, result, _ in reversed(results)}
    if not domain or not results:
        return pb2.AUTHENTICITY_NONE
    if kinds.get("dmarc") in ("pass", "fail"):
        return pb2.AUTHENTICITY_PASS if kinds["dmarc"] == "pass" else pb2.AUTHENTICITY_FAIL
    if any(kind != "dmarc" and result == "pass" and _is_aligned(rest, domain) for kind, result, rest in results):
        return pb2.AUTHENTICITY_PASS
    return pb2.AUTHENTICITY_FAIL if "fail" in kinds.values() else pb2.AUTHENTICITY_NONE


def digest(kind: str, value: str) -> bytes:
    """Return the digest of a relation; empty for an empty value."""
    return hashlib.blake2b(f"{kind}\0{value}".encode(), digest_size=_DIGEST_BYTES).digest() if value else b""


def topic(subject: str) -> str:
    """Return a subject without its prefixes, for comparison."""
    folded = " ".join(subject[:_FOLDED_CHARACTERS].split()).casefold()
    found = _PREFIX.match(folded)
    return folded[found.end() :] if found else folded


def _is_sent_copy(mail: message_pb2.MailMessage, event: event_pb2.NormalizedMailEvent) -> bool:
    """Tell whether a mail of the mailbox is its own copy of a sent mail: it has not travelled.

    A mail from outside with the mailbox's forged address has travelled.
    """
    if event.provider == GOOGLEWS:
        return _SENT in mail.label_ids
    return bool(event.send_id) or not any(
        one.name.lower() in ("received", "authentication-results") for one in mail.headers
    )


def _mailbox_address(mail: message_pb2.MailMessage, visible: Iterable[str], ours: Ours) -> str:
    """Return the own address that was meant: a blind copy and a list leave To without it, so the last hop leads.

    Delivered-To and X-Original-To have no standard; Postfix and Gmail write them, and the topmost is the mailbox's own.
    """
    delivered = (plain(one.value[:_FOLDED_CHARACTERS]) for one in mail.headers if one.name.lower() in _DELIVERED)
    return next((one for one in (*delivered, *visible) if one and ours.is_own(one)), "")


def _parents(mail: message_pb2.MailMessage) -> tuple[bytes, ...]:
    nearest = [mail.in_reply_to, *reversed(mail.references[-MAX_REFERENCES:])]
    named = (one for one in dict.fromkeys(nearest) if one and one != mail.internet_message_id)
    return tuple(digest("m", one) for one in named)


def _tokens(visible: Iterable[str], ours: Ours) -> tuple[bytes, ...]:
    words = (tag(one) for one in visible if ours.is_own(one))
    return tuple(digest("r", one) for one in words if _TOKEN.fullmatch(one))


def _people(addresses: Iterable[message_pb2.Address]) -> tuple[str, ...]:
    found = dict.fromkeys(plain(one.address) for one in addresses)
    return tuple(one for one in found if one)[:MAX_PEOPLE]


def _is_forward(mail: message_pb2.MailMessage) -> bool:
    if any(span.kind == message_pb2.TEXT_SPAN_KIND_FORWARDED for span in mail.body.spans):
        return True
    return bool(_FORWARD.match(mail.subject[:_FOLDED_CHARACTERS].strip()))


def _is_aligned(rest: str, domain: str) -> bool:
    """Tell whether a result speaks of the author's domain or of one above or below it."""
    found = _DOMAIN.search(rest)
    named = found[1].strip(".") if found else ""
    return bool(named) and "." in named and (named == domain or domain.endswith(f".{named}"))
