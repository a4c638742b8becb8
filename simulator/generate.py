"""Mail made from a seed: the same seed and number give the same mail, written only when it is read."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime

_TOPICS = [
    "invoice",
    "meeting",
    "offer",
    "contract",
    "delivery",
    "question about the order",
    "holiday",
    "report",
    "server alert",
    "newsletter",
    "Übersicht",
    "提案",
]
_ADJECTIVES = ["new", "late", "urgent", "final", "open", "second", "draft", "monthly", "missing", "corrected"]
_PEOPLE = [
    "Ada Lovelace",
    "Alan Turing",
    "Grace Hopper",
    "Zoë Müller",
    "Jürgen Groß",
    "Ken Thompson",
    "Barbara Liskov",
    "石川 花子",
]
_SENTENCES = (
    "Please find the figures below.",
    "We spoke about this on the telephone.",
    "Could you have a look before Friday?",
    "The parcel left the warehouse this morning.",
    "Für Rückfragen stehe ich gern zur Verfügung.",
    "Nothing else has changed since the last version.",
)
_MASK = (1 << 64) - 1


def mix(value: int) -> int:
    """Return 64 well-mixed bits (splitmix64): cheap enough for a hundred thousand mails."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class GeneratedMail:
    """Mail number ``number`` of a seed; about a third answer the one before."""

    __slots__ = ("_bits", "number", "received_ms", "seed", "to")

    def __init__(self, seed: int, number: int, to: str, received_ms: int) -> None:
        self.seed = seed
        self.number = number
        self.to = to
        self.received_ms = received_ms
        self._bits = mix(seed * 0x1000003 + number)

    @property
    def message_id(self) -> str:
        """The Message-ID, unlike any other's."""
        return f"<{self.seed:x}.{self.number}@generated.test>"

    @property
    def priority(self) -> str:
        """Always empty: generated mail has no special importance."""
        return ""

    @property
    def is_reply(self) -> bool:
        """Whether the mail answers the one before it."""
        return self.number > 0 and self._bits % 3 == 0

    @property
    def subject(self) -> str:
        """The subject; a reply has the subject of the mail that it answers."""
        if self.is_reply:
            before = GeneratedMail(self.seed, self.number - 1, self.to, 0).subject
            return before if before.startswith("Re: ") else f"Re: {before}"
        return f"{_pick(_ADJECTIVES, self._bits >> 8).capitalize()} {_pick(_TOPICS, self._bits >> 16)} {self.number}"

    @property
    def references(self) -> Sequence[str]:
        """The Message-ID of the mail before it, for a reply."""
        return (f"<{self.seed:x}.{self.number - 1}@generated.test>",) if self.is_reply else ()

    def raw(self) -> bytes:
        """Write the mail: by hand, since a backlog of thousands is read at once, and always the same bytes."""
        sender = _pick(_PEOPLE, self._bits >> 24)
        head = [
            f"From: {_word(sender)} <p{(self._bits >> 24) % len(_PEOPLE)}@senders.test>",
            f"To: {self.to}",
            f"Subject: {_word(self.subject)}",
            f"Date: {format_datetime(datetime.fromtimestamp(self.received_ms // 1000, UTC))}",
            f"Message-ID: {self.message_id}",
            *(f"{name}: {reference}" for reference in self.references for name in ("In-Reply-To", "References")),
            "MIME-Version: 1.0",
        ]
        return "\r\n".join([*head, *self._body(sender)]).encode()

    def _body(self, sender: str) -> list[str]:
        lines = [_pick(_SENTENCES, self._bits >> shift) for shift in range(28, 44, 4)]
        part = _encoded("text/plain", "\n".join([*lines, "", sender, ""]))
        if self._bits >> 50 & 1:
            markup = "".join(f"<p>{line}</p>" for line in [*lines, sender])
            html = _encoded("text/html", f"<html><body>{markup}</body></html>")
            part = self._multipart("alternative", part, html)
        if (self._bits >> 51) % 8 == 0:
            name = f'"file-{self.number}.pdf"'
            part = self._multipart("mixed", part, [f"Content-Type: application/pdf; name={name}", *_pdf(name)])
        return part

    def _multipart(self, kind: str, *parts: list[str]) -> list[str]:
        boundary = f"=_{kind}_{self._bits:016x}"
        inner = [line for part in parts for line in (f"--{boundary}", *part)]
        return [f'Content-Type: multipart/{kind}; boundary="{boundary}"', "", *inner, f"--{boundary}--", ""]


def _encoded(kind: str, text: str) -> list[str]:
    content = base64.encodebytes(text.encode()).decode().splitlines()
    return [f'Content-Type: {kind}; charset="utf-8"', "Content-Transfer-Encoding: base64", "", *content, ""]


def _word(text: str) -> str:
    """Return text as a header may carry it: as it is, or as an encoded word."""
    return text if text.isascii() else f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="


def _pdf(name: str) -> list[str]:
    return [
        f"Content-Disposition: attachment; filename={name}",
        "Content-Transfer-Encoding: base64",
        "",
        "JVBERi0xLjQKJSVFT0YK",
        "",
    ]


def _pick(words: Sequence[str], bits: int) -> str:
    return words[bits % len(words)]
