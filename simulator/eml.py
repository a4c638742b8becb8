"""Mail as bytes: a reading of RFC 5322 and MIME that both providers' views are made from, and a writer."""

import base64
import binascii
import email.message
import email.parser
import email.policy
import email.utils
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage, Message
from functools import lru_cache
from typing import Any, Protocol

import webencodings

_PARSER = email.parser.BytesParser(policy=email.policy.compat32)
ITEM_HEADER = "X-Simulated-Item"
"""Marks a part that Graph shows as an item attachment, such as an event: its content is the item's."""
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
        sent_headers: The same fields with their encoded words as sent.
        content: Without its transfer encoding; for ``message/rfc822`` the inner mail's bytes.
    """

    content_type: str
    headers: list[tuple[str, str]]
    filename: str = ""
    charset: str = ""
    disposition: str = ""
    content: bytes = b""
    children: list["Part"] = field(default_factory=list)
    sent_headers: list[tuple[str, str]] = field(default_factory=list)

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
        """Return the content as text, by its charset as mail programs read it; a byte that does not fit is replaced."""
        return _decode(self.content, self.charset).replace("\r\n", "\n")

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
    """Read a mail, however broken. One that is nested deeper than Python's parser goes is a single part."""
    try:
        return _part(_PARSER.parsebytes(raw), 0)
    except RecursionError:
        part = _head(_HEADERS.parsebytes(raw))
        part.content = raw.partition(b"\r\n\r\n")[2] or raw.partition(b"\n\n")[2]
        return part


_MAX_DEPTH = 100
# The set that mail programs read for a label: the larger one that senders write under the smaller one's name.
_LARGER = {
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "ks_c_5601-1987": "cp949", "euc-kr": "cp949",
    "big5": "big5hkscs", "iso-8859-1": "cp1252", "us-ascii": "cp1252", "iso-8859-9": "cp1254", "tis-620": "cp874",
    "windows-874": "cp874", "iso-8859-8-i": "iso-8859-8", "macintosh": "mac-roman", "x-mac-cyrillic": "mac-cyrillic",
}  # fmt: skip
_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(?<=\?=)[ \t]+(?==\?[^?\s]{1,60}\?[bBqQ]\?)")


def _decode(data: bytes, charset: str) -> str:
    """Decode by the charset; without a known one as UTF-8, else as Windows-1252."""
    name = charset.strip().lower()
    known = webencodings.lookup(name) if name != "us-ascii" else None
    if known and known.name not in ("replacement", "x-user-defined"):
        name = known.name
    if name not in ("", "us-ascii", "utf-8", "utf8"):
        try:
            return data.decode(_LARGER.get(name, name), "replace")
        except (LookupError, ValueError):
            pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("utf-8" if name in ("utf-8", "utf8") else "cp1252", "replace")


def unfolded(value: Any) -> str:
    """Return a header's value in one line, with its encoded words as they are."""
    return " ".join(line.strip() for line in re.split(r"\r\n|\r|\n", _text(value)))


def decoded(value: Any) -> str:
    """Return a header's value unfolded, with encoded words decoded (RFC 2047 6.2); other text keeps its blanks."""
    text = _BETWEEN_WORDS.sub("", unfolded(value))
    pieces, pending, charset, position = [], b"", "", 0
    for word in _WORD.finditer(text):
        name = word[1].partition("*")[0]
        if word.start() != position or name != charset:
            pieces += [_decode(pending, charset), text[position : word.start()]]
            pending = b""
        pending, charset, position = pending + _word_bytes(word[2], word[3], name), name, word.end()
    return "".join([*pieces, _decode(pending, charset), text[position:]])


def _word_bytes(encoding: str, content: str, charset: str) -> bytes:
    if encoding in "qQ":
        try:
            data = content.encode(_LARGER.get(charset.lower(), charset))
        except (LookupError, ValueError):
            data = content.encode("utf-8", "replace")
        return binascii.a2b_qp(data, header=True)
    try:
        return base64.b64decode(content + "=" * (-len(content) % 4))
    except ValueError:
        return b""


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


# Newer Pythons refuse a whole header for one odd address, unless a parameter forbids it.
_IS_STRICT = "strict" in inspect.signature(email.utils.getaddresses).parameters


def _pairs(values: list[str]) -> list[tuple[str, str]]:
    how: dict[str, Any] = {"strict": False} if _IS_STRICT else {}
    return email.utils.getaddresses(values, **how)


def _text(value: Any) -> str:
    """Return a header's characters; raw bytes are UTF-8, else Windows-1252, as mail programs read them."""
    return _decode(str(value).encode("utf-8", "surrogateescape"), "")


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


def _head(message: Message) -> Part:
    """Return a part of which only the header fields are read, in both forms."""
    items = list(message.raw_items())
    part = Part(message.get_content_type(), [(_text(name), _header(name, value)) for name, value in items])
    part.sent_headers = [(_text(name), unfolded(value)) for name, value in items]
    return part


def _part(message: Message, depth: int) -> Part:
    part = _head(message)
    part.filename = decoded(message.get_filename("") or "")
    part.disposition = message.get_content_disposition() or ""
    part.charset = str(message.get_content_charset("") or "")
    if message.is_multipart() and depth < _MAX_DEPTH:
        children = [child for child in message.get_payload() if isinstance(child, Message)]
        part.children = [_part(child, depth + 1) for child in children]
        if part.content_type == "message/rfc822":
            part.content = b"".join(child.as_bytes() for child in children)
        return part
    payload = message.get_payload(decode=True) if not message.is_multipart() else b""
    part.content = payload if isinstance(payload, bytes) else b""
    return part


def compose(fields: dict[str, Any], *, default_date: str, default_message_id: str) -> bytes:
    """Write a mail from the control API's fields.

    Args:
        fields: ``from``, ``to``, ``cc``, ``bcc``, ``replyTo``, ``subject``, ``text``, ``html``, ``date``,
            ``messageId``, ``inReplyTo``, ``references``, ``headers`` ({name: value}) and ``attachments``
            ([{name, contentType, base64, contentId, isInline, isItem}], or
            ``bytes`` instead of ``base64``: so many bytes, 0 to 255 in turn). All may be left out.
        default_date: Date header when none is given.
        default_message_id: Message-ID header when none is given.
    """
    message = EmailMessage(policy=_policy(fields))
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


def _policy(fields: dict[str, Any]) -> "email.policy.EmailPolicy[EmailMessage]":
    """Return a policy that folds no id: the usual one writes an id of 78 characters or more as an encoded word."""
    ids = f"{fields.get('inReplyTo') or ''} {fields.get('references') or ''}".split()
    longest = max((len(one) for one in ids), default=0)
    return email.policy.SMTP.clone(max_line_length=998) if longest > _FOLDED else email.policy.SMTP


_FOLDED = 60
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
    size = int(attachment.get("bytes", 0))
    content = bytes(range(256)) * (size // 256 + 1) if size else base64.b64decode(attachment.get("base64", ""))
    content = content[:size] if size else content
    content_id = attachment.get("contentId")
    if (main, sub) == ("message", "rfc822"):
        message.add_attachment(email.message_from_bytes(content, policy=message.policy))
        return
    message.add_attachment(
        content,
        maintype=main,
        subtype=sub or "octet-stream",
        filename=attachment.get("name", "file"),
        disposition="inline" if attachment.get("isInline") else "attachment",
        cid=f"<{content_id}>" if content_id else None,
        headers=[f"{ITEM_HEADER}: true"] if attachment.get("isItem") else None,
    )
