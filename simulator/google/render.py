"""A mail as Gmail shows it: ids and labels, headers, a tree of parts, or the bytes."""

import base64
import html
import itertools
import re
from functools import lru_cache

from simulator.eml import MailSource, Part, parsed
from simulator.http import JSON
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.gmail_mail import GmailMail

_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_fetches = itertools.count(1)


def b64url(content: bytes) -> str:
    """Return bytes in the URL-safe alphabet, padded."""
    return base64.urlsafe_b64encode(content).decode()


class View:
    """Shows messages of one mailbox in one format."""

    def __init__(
        self,
        mailbox: GmailMailbox,
        *,
        body_charset: str = "utf-8",
        header_words: str = "decoded",
        metadata_headers: tuple[str, ...] = (),
        inline_bytes: int = 1_000,
        held_back_bytes: int = 1_000_000,
    ) -> None:
        self._mailbox = mailbox
        self._body_charset = body_charset
        self._header_words = header_words
        self._inline_bytes = inline_bytes
        self._held_back_bytes = held_back_bytes
        self._metadata_headers = frozenset(name.lower() for name in metadata_headers)

    def message(self, mail: GmailMail, form: str) -> JSON:
        """Return a message as ``minimal``, ``metadata``, ``full`` or ``raw``."""
        shown: JSON = {
            "id": self._mailbox.id_of(mail.serial),
            "threadId": self._mailbox.id_of(mail.thread),
            "labelIds": sorted(mail.labels),
            "snippet": snippet(mail.source),
            "sizeEstimate": size(mail.source),
            "historyId": str(mail.history_id),
            "internalDate": str(mail.received_ms),
        }
        if form == "raw":
            shown["raw"] = b64url(mail.source.raw())
        elif form == "metadata":
            root = parsed(mail.source)
            shown["payload"] = {"mimeType": root.content_type, "headers": self._headers(root, self._metadata_headers)}
        elif form == "full":
            shown["payload"] = self._part(mail, parsed(mail.source), "")
        return shown

    def _part(self, mail: GmailMail, part: Part, part_id: str) -> JSON:
        shown: JSON = {
            "partId": part_id,
            "mimeType": part.content_type,
            "filename": part.filename or ("noname.eml" if part.content_type == "message/rfc822" else ""),
            "headers": self._headers(part),
        }
        if part.content_type.startswith("multipart/"):
            shown["body"] = {"size": 0}
        elif part.is_attachment() and not self._is_inline(part):
            shown["body"] = {"attachmentId": self._attachment_id(mail, part_id), "size": len(part.content)}
        else:
            content = self._text(part)
            if len(content) > self._held_back_bytes:
                shown["body"] = {"attachmentId": self._attachment_id(mail, part_id), "size": len(content)}
            else:
                shown["body"] = {"size": len(content), "data": b64url(content)} if content else {"size": 0}
        if part.children:
            prefix = f"{part_id}." if part_id else ""
            shown["parts"] = [self._part(mail, child, f"{prefix}{index}") for index, child in enumerate(part.children)]
        return shown

    def _attachment_id(self, mail: GmailMail, part_id: str) -> str:
        """Return an id for an attachment: a different one at each fetch, which lives for some time."""
        made = f"{mail.serial}/{part_id}/{next(_fetches)}/{self._mailbox.clock.milliseconds()}/"
        return "ANGjdJ" + b64url(made.encode().ljust(60, b"."))

    def _is_inline(self, part: Part) -> bool:
        """Tell whether an attachment's content stands in the message, as a small one of text may at Gmail."""
        return part.content_type.startswith("text/") and len(part.content) <= self._inline_bytes

    def _headers(self, part: Part, only: frozenset[str] = frozenset()) -> list[JSON]:
        fields = part.sent_headers if self._header_words == "encoded" else part.headers
        return [{"name": name, "value": value} for name, value in fields if not only or name.lower() in only]

    def _text(self, part: Part) -> bytes:
        if self._body_charset == "utf-8" and part.charset.lower() not in {"", "utf-8", "us-ascii"}:
            return part.text().encode()
        return part.content


def find_attachment(mail: GmailMail, given: str, made_after_ms: int = 0) -> Part | None:
    """Return the part that an attachment's id names, unless the id was made before a time."""
    try:
        serial, part_id, _, made, _ = base64.urlsafe_b64decode(given[6:]).decode().split("/", 4)
        is_good = serial == str(mail.serial) and int(made) >= made_after_ms
    except ValueError:
        return None
    part = parsed(mail.source) if is_good else None
    for index in part_id.split(".") if part_id else []:
        if part is None or not index.isdecimal() or int(index) >= len(part.children):
            return None
        part = part.children[int(index)]
    return part


@lru_cache(maxsize=4096)
def snippet(source: MailSource) -> str:
    """Return the beginning of a mail's text, HTML-escaped as Gmail does."""
    for wanted in ("text/plain", "text/html"):
        for part in parsed(source).walk():
            if part.content_type == wanted and not part.is_attachment():
                text = part.text() if wanted == "text/plain" else html.unescape(_TAGS.sub(" ", part.text()))
                return html.escape(" ".join(text.split())[:200])
    return ""


@lru_cache(maxsize=4096)
def size(source: MailSource) -> int:
    """Return how many bytes a mail has."""
    return len(source.raw())
