"""Mail as bytes: a reading of RFC 5322 and MIME that both providers' views are made from, and a writer."""

import base64
import email.header
import email.message
import email.parser
import email.policy
import email.utils
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage, Message
from functools import lru_cache
from typing import Any, Protocol

_PARSER = email.parser.BytesParser(policy=email.policy.compat32)
_HEADERS = email.parser.BytesHeaderParser(policy=email.policy.compat32)


class MailSource(Protocol):
    """Where a mail's bytes come from; the cheap facts need no parsing of the whole."""

    @property
    def message_id(self) -> str:
        """Message-ID with its brackets; empty when there is none."""
        ...

    @property
    def subject(self) -> str:
        """Subject, decoded."""
        ...

    @property
    def references(self) -> Sequence[str]:
        """Message-IDs that the mail refers to, the nearest last."""
        ...

    @property
    def priority(self) -> str:
        """Importance or X-Priority as the sender wrote it; empty when there is none."""
        ...

    def raw(self) -> bytes:
        """Return the mail as it went over the wire."""
        ...

    def __hash__(self) -> int: ...


class Eml:
    """A mail given as bytes."""

    __slots__ = ("_raw", "message_id", "priority", "references", "subject")

    def __init__(self, raw: bytes) -> None:
        head = _HEADERS.parsebytes(raw)
        self._raw = raw
        self.message_id = _text(head.get("Message-ID", "")).strip()
        self.subject = decoded(head.get("Subject", ""))
        self.priority = _text(head.get("Importance") or head.get("X-Priority", ""))
        linked = f"{_text(head.get('References', ''))} {_text(head.get('In-Reply-To', ''))}"
        self.references: Sequence[str] = tuple(linked.split())

    def raw(self) -> bytes:
        """Return the bytes."""
        return self._raw


@dataclass(slots=True)
class Part:
    """One MIME part: decoded content, and children if it is a multipart or a message.

    Attributes:
        headers: Names as sent, values decoded and unfolded.
        content: Without its transfer encoding; for ``message/rfc822`` the inner mail's bytes.
    """

    content_type: str
    headers: list[tuple[str, str]]
    filename: str = ""
    charset: str = ""
    disposition: str = ""
    content: bytes = b""
    children: list["Part"] = field(default_factory=list)

    def header(self, name: str) -> str:
        """Return the first header of that name, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def header_lines(self, name: str) -> list[str]:
        """Return all headers of that name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def content_id(self) -> str:
        """The Content-ID without its brackets."""
        return self.header("Content-ID").strip().strip("<>")

    def text(self) -> str:
        """Return the content as text, by its charset, else UTF-8, else Latin-1; it never fails."""
        for charset in (self.charset or "us-ascii", "utf-8"):
            try:
                return self.content.decode(charset).replace("\r\n", "\n")
            except (LookupError, ValueError):
                continue
        return self.content.decode("latin-1").replace("\r\n", "\n")

    def walk(self) -> Iterator["Part"]:
        """Yield the part and, if it is a multipart, all below it; an attached mail is not entered."""
        yield self
        if self.content_type != "message/rfc822":
            for child in self.children:
                yield from child.walk()

    def is_attachment(self) -> bool:
        """Return whether a mail program would list the part rather than show it."""
        if self.content_type.startswith("multipart/"):
            return False
        return bool(self.filename) or self.disposition == "attachment" or not self.content_type.startswith("text/")


@lru_cache(maxsize=2048)
def parsed(source: MailSource) -> Part:
    """Return a mail's tree; the newest 2048 are kept."""
    return parse(source.raw())


def parse(raw: bytes) -> Part:
    """Read a mail, however broken."""
    return _part(_PARSER.parsebytes(raw))


def decoded(value: Any) -> str:
    """Return a header's value unfolded, with encoded words read; what cannot be read stays as it is."""
    text = " ".join(line.strip() for line in _text(value).splitlines())
    if "=?" not in text:
        return text
    try:
        return str(email.header.make_header(email.header.decode_header(text)))
    except (LookupError, ValueError):
        return text


def addresses(part: Part, name: str) -> list[tuple[str, str]]:
    """Return (display name, address) pairs of a header that has not lost its structure."""
    pairs = _pairs(part.header_lines(name))
    return [(shown, address) for shown, address in pairs if "@" in address or (address and not shown)]


def date_ms(part: Part) -> int | None:
    """Return the Date header in milliseconds since the epoch, or None when there is no sense in it."""
    try:
        moment = email.utils.parsedate_to_datetime(part.header("Date"))
        return int(moment.timestamp() * 1000)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


# Newer Pythons refuse a whole header for one odd address, unless they are told not to.
_IS_STRICT = "strict" in inspect.signature(email.utils.getaddresses).parameters


def _pairs(values: list[str]) -> list[tuple[str, str]]:
    how: dict[str, Any] = {"strict": False} if _IS_STRICT else {}
    return email.utils.getaddresses(values, **how)


def _text(value: Any) -> str:
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


_ADDRESS_HEADERS = frozenset({"from", "to", "cc", "bcc", "reply-to", "sender"})
_SPECIALS = frozenset('()<>@,:;".[]\\')


def _header(name: str, value: Any) -> str:
    """Decode a header; names in address headers are decoded one by one, since they may hide commas."""
    if name.lower() not in _ADDRESS_HEADERS or "=?" not in _text(value):
        return decoded(value)
    return ", ".join(_mailbox(decoded(shown), address) for shown, address in _pairs([_text(value)]))


def _mailbox(shown: str, address: str) -> str:
    if not shown:
        return address
    if _SPECIALS.isdisjoint(shown):
        return f"{shown} <{address}>"
    escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address}>'


def _part(message: Message) -> Part:
    content_type = message.get_content_type()
    part = Part(content_type, [(_text(name), _header(name, value)) for name, value in message.raw_items()])
    part.filename = decoded(message.get_filename("") or "")
    part.disposition = message.get_content_disposition() or ""
    part.charset = str(message.get_content_charset("") or "")
    if message.is_multipart():
        part.children = [_part(child) for child in message.get_payload() if isinstance(child, Message)]
        if content_type == "message/rfc822":
            part.content = b"".join(child.as_bytes() for child in message.get_payload() if isinstance(child, Message))
        return part
    payload = message.get_payload(decode=True)
    part.content = payload if isinstance(payload, bytes) else b""
    return part


def compose(fields: dict[str, Any], *, default_date: str, default_message_id: str) -> bytes:
    """Write a mail from the control API's fields.

    Args:
        fields: ``from``, ``to``, ``cc``, ``bcc``, ``replyTo``, ``subject``, ``text``, ``html``, ``date``,
            ``messageId``, ``inReplyTo``, ``references``, ``headers`` ({name: value}) and ``attachments``
            ([{name, contentType, base64, contentId, isInline}]). All may be left out.
        default_date: Date header when none is given.
        default_message_id: Message-ID header when none is given.
    """
    message = EmailMessage(policy=email.policy.SMTP)
    for name, key, default in _WRITTEN:
        value = fields.get(key, default)
        if value:
            message[name] = ", ".join(value) if isinstance(value, list) else value
    message["Date"] = fields.get("date") or default_date
    message["Message-ID"] = fields.get("messageId") or default_message_id
    for name, value in (fields.get("headers") or {}).items():
        message[name] = value
    _write_bodies(message, fields)
    for attachment in fields.get("attachments") or []:
        _attach(message, attachment)
    return message.as_bytes()


_WRITTEN = (
    ("From", "from", "Someone <someone@example.test>"),
    ("To", "to", ""),
    ("Cc", "cc", ""),
    ("Bcc", "bcc", ""),
    ("Reply-To", "replyTo", ""),
    ("Subject", "subject", ""),
    ("In-Reply-To", "inReplyTo", ""),
    ("References", "references", ""),
)


def _write_bodies(message: EmailMessage, fields: dict[str, Any]) -> None:
    text, html = fields.get("text"), fields.get("html")
    if text is not None or html is None:
        message.set_content(text or "")
    if html is not None and text is not None:
        message.add_alternative(html, subtype="html")
    elif html is not None:
        message.set_content(html, subtype="html")


def _attach(message: EmailMessage, attachment: dict[str, Any]) -> None:
    main, _, sub = str(attachment.get("contentType", "application/octet-stream")).partition("/")
    content = base64.b64decode(attachment.get("base64", ""))
    content_id = attachment.get("contentId")
    message.add_attachment(
        content,
        maintype=main,
        subtype=sub or "octet-stream",
        filename=attachment.get("name", "file"),
        disposition="inline" if attachment.get("isInline") else "attachment",
        cid=f"<{content_id}>" if content_id else None,
    )
