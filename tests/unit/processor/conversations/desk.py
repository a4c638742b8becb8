"""A mailbox in memory: the intake of conversations with a store of dictionaries, and mails for it."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from mailmesh.mail.v1 import event_pb2, message_pb2
from services.processor.conversations.addresses import Ours
from services.processor.conversations.intake import Intake, Owner, take_in, token_link
from services.processor.conversations.kinship import Card, Known
from services.processor.conversations.letter import Letter, letter_of

TENANT = "019a9f0e-7c1e-7000-8000-000000000002"
DESK, AGENT = "desk@ours.example", "kim@ours.example"
ADA, BEN, EVE = "ada@a.example", "ben@b.example", "eve@e.example"
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
PASS, FAIL, NONE = "pass", "fail", ""


@dataclass
class Desk:
    """The conversations of one mailbox."""

    address: str = DESK
    accepts_unproven: bool = False
    carriers: tuple[str, ...] = ()
    reopen_days: int = 0
    reopenings_an_hour: int = 0
    automatic_an_hour: int = 0
    cards: dict[str, Card] = field(default_factory=dict)
    links: dict[bytes, list[tuple[str, bool]]] = field(default_factory=dict)
    of_message: dict[str, str] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @property
    def settings(self) -> pb2.ConversationSettings:
        return pb2.ConversationSettings(
            is_enabled=True, own_addresses=[self.address], own_domains=[self.address.partition("@")[2]],
            carriers=self.carriers, reopen_days=self.reopen_days, accepts_unproven=self.accepts_unproven,
            reopenings_an_hour=self.reopenings_an_hour, automatic_an_hour=self.automatic_an_hour,
        )  # fmt: skip

    def receive(self, event: event_pb2.NormalizedMailEvent) -> Intake | None:
        """Take in a mail, as the follower does."""
        settings = self.settings
        ours = Ours(settings)
        letter = letter_of(event, ours, accepts_unproven=settings.accepts_unproven)
        number = next(self.numbers)
        taken = take_in(letter, self.known(letter), ours, settings, Owner(TENANT, f"{number:032x}"))
        if taken is not None:
            self.store(letter, taken)
        return taken

    def known(self, letter: Letter) -> Known:
        """Give the intake what a store would find: no other conversations."""
        links = {one: list(self.links[one]) for one in letter.digests if one in self.links}
        wanted = {identity for found in links.values() for identity, _ in found}
        cards: dict[str, Card] = {}
        while wanted:
            identity = wanted.pop()
            cards[identity] = self.cards[identity]
            into = self.cards[identity].conversation.merged_into
            if into and into not in cards:
                wanted.add(into)
        return Known(cards, links)

    def store(self, letter: Letter, taken: Intake) -> None:
        conversation = taken.card.conversation
        identity = conversation.conversation_id
        self.cards[identity] = taken.card
        self.of_message[letter.message_id] = identity
        for one, is_own in {**taken.links, token_link(conversation.reply_token): True}.items():
            found = dict(self.links.get(one, []))
            found[identity] = found.get(identity, False) or is_own
            self.links[one] = list(found.items())

    def conversation(self, taken: Intake | None) -> pb2.Conversation:
        assert taken is not None
        return taken.card.conversation


def mail(
    message_id: str,
    sender: str,
    to: tuple[str, ...] = (DESK,),
    *,
    cc: tuple[str, ...] = (),
    bcc: tuple[str, ...] = (),
    reply_to: tuple[str, ...] = (),
    cites: tuple[str, ...] = (),
    thread: str = "",
    subject: str = "Offer",
    proof: str = PASS,
    days: float = 0,
    automation: "message_pb2.AutomationKind.ValueType" = message_pb2.AUTOMATION_KIND_UNSPECIFIED,
    is_sent: bool = False,
    is_forward: bool = False,
    headers: tuple[tuple[str, str], ...] = (),
) -> event_pb2.NormalizedMailEvent:
    """Make the event of a mail; `cites` are message ids as `message_id`, the nearest last."""
    people: dict[str, Any] = {
        name: [message_pb2.Address(address=one) for one in given]
        for name, given in (("to", to), ("cc", cc), ("bcc", bcc), ("reply_to", reply_to))
    }
    domain = sender.rpartition("@")[2]
    judged = () if is_sent or not proof else (
        ("Authentication-Results", f"mx.provider.example; dmarc={proof} header.from={domain}"),
    )  # fmt: skip
    travelled = () if is_sent else (("Received", "from a by b; 1 Nov 2026"),)
    message = message_pb2.MailMessage(
        subject=subject, internet_message_id=f"<{message_id}@mail.example>", automation=automation,
        in_reply_to=f"<{cites[-1]}@mail.example>" if cites else "",
        references=[f"<{one}@mail.example>" for one in cites],
        headers=[message_pb2.Header(name=name, value=value) for name, value in (*judged, *travelled, *headers)],
        **people,
    )  # fmt: skip
    message.from_address.address = sender
    message.thread.provider_thread_id = thread
    message.mail_received_at.FromDatetime(BEGIN + timedelta(days=days))
    if is_forward:
        message.body.spans.add(kind=message_pb2.TEXT_SPAN_KIND_FORWARDED, start=0, end=1)
    return event_pb2.NormalizedMailEvent(
        provider="ms365", tenant_id=TENANT, message_id=message_id, is_enriched=True, message=message
    )


def begun() -> Desk:
    """A mailbox with Ada's question `1` in thread `t`, answered by `2`."""
    desk = Desk()
    desk.receive(mail("1", ADA, thread="t"))
    desk.receive(mail("2", DESK, (ADA,), cites=("1",), is_sent=True, thread="t"))
    return desk


def refusals(desk: Desk, taken: object) -> list[str]:
    return [one.refusal for one in taken.message.attempts]  # type: ignore[attr-defined]
