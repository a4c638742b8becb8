"""Gmail's tree of MIME parts: which are shown, in which of their forms, and which are attachments."""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mailmesh.mail.v1 import message_pb2
from services.processor.mail.message.bodies import MAX_PARTS, Part
from services.processor.mail.message.fields import clean, items, members, number, text
from services.processor.mail.message.headers import Headers
from services.processor.mail.message.html import MAX_SOURCE_CHARACTERS
from services.processor.mail.message.words import base64url, decode_bytes, decode_words

MAX_DEPTH = 60
"""Nesting of parts that is looked into."""
_MAX_TREE_PARTS = 5000
_MAX_BODY_BYTES = 2 * MAX_SOURCE_CHARACTERS
_PARAMETER = re.compile(r';\s*charset\s*=\s*"?([^\s";]{1,60})', re.IGNORECASE)
_ATTACHED_MAIL = "message/rfc822"


@dataclass(frozen=True)
class _Leaf:
    """A part that holds no others."""

    raw: Mapping[str, Any]
    headers: Headers
    media_type: str

    @property
    def disposition(self) -> str:
        return self.headers.first("Content-Disposition").partition(";")[0].strip().lower()

    @property
    def content_id(self) -> str:
        return self.headers.first("Content-ID").strip("<> ")[:998]

    @property
    def name(self) -> str:
        return clean(decode_words(text(self.raw, "filename"))[:1024])

    @property
    def is_shown(self) -> bool:
        """Text that stands in the mail itself."""
        return self.media_type in ("text/plain", "text/html") and self.disposition != "attachment" and not self.name

    def part(self) -> Part:
        """The text, decoded, no more of it than is used."""
        body = members(self.raw, "body")
        encoded = text(body, "data")
        data = base64url(encoded, _MAX_BODY_BYTES)
        charset = _PARAMETER.search(self.headers.first("Content-Type"))
        decoded = decode_bytes(data, charset[1] if charset else "")
        is_cut = len(encoded) * 3 // 4 > _MAX_BODY_BYTES or (not encoded and bool(text(body, "attachmentId")))
        if self.media_type == "text/html":
            return Part(html=decoded, is_cut=is_cut)
        return Part(text=decoded, is_cut=is_cut)


class MimeTree:
    """The parts of a mail.

    Args:
        payload: Gmail's `payload`, of any shape.
    """

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self.headers = _headers(payload)
        self._payload = payload
        self._looked_at = 0
        self._leaves: list[_Leaf] = []
        self._shown = self._parts(payload, 0)

    def shown(self) -> list[Part]:
        """What is shown, in order; forms that are alternatives of each other are one part."""
        return self._shown

    def attachments(self, html: str) -> Iterator[message_pb2.Attachment]:
        """Describes what is not shown, in order.

        Args:
            html: The mail's HTML: what it refers to by content id is inline.
        """
        for leaf in self._leaves:
            if not leaf.is_shown:
                yield _attachment(leaf, html)

    def detached(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The shown parts whose content Gmail holds back: attachment id and the part's `body`."""
        for leaf in self._leaves:
            body = members(leaf.raw, "body")
            if leaf.is_shown and isinstance(body, dict) and text(body, "attachmentId") and not text(body, "data"):
                yield text(body, "attachmentId"), body

    def _parts(self, raw: Any, depth: int) -> list[Part]:
        self._looked_at += 1
        if self._looked_at > _MAX_TREE_PARTS or depth > MAX_DEPTH:
            return []
        media_type = text(raw, "mimeType").strip().lower()[:255] or "text/plain"
        inner = items(raw, "parts")
        # What is within an attached mail or report is not of this mail; any other part that has parts is looked into.
        if media_type.startswith("message/") or not (inner or media_type.startswith("multipart/")):
            return self._leaf(raw, media_type)
        shown = [self._parts(part, depth + 1) for part in inner]
        if media_type == "multipart/alternative":
            return [_alternative(shown)]
        return list(itertools.islice(itertools.chain.from_iterable(shown), MAX_PARTS + 1))

    def _leaf(self, raw: Any, media_type: str) -> list[Part]:
        leaf = _Leaf(raw if isinstance(raw, Mapping) else {}, _headers(raw), media_type)
        if not leaf.is_shown:
            self._leaves.append(leaf)
            return []
        self._leaves.append(leaf)
        return [leaf.part()]


def _headers(raw: Any) -> Headers:
    return Headers(items(raw, "headers"))


def _alternative(branches: list[list[Part]]) -> Part:
    """One part of the alternatives: the last HTML there is, and the last text. A branch may have several parts."""
    html = text_form = None
    for branch in branches:
        if any(part.html is not None for part in branch):
            html = "\n".join(part.html or "" for part in branch)
        elif branch:
            text_form = "\n\n".join(part.text or "" for part in branch)
    return Part(text_form, html, any(part.is_cut for branch in branches for part in branch))


def _attachment(leaf: _Leaf, html: str) -> message_pb2.Attachment:
    body, content_id = members(leaf.raw, "body"), leaf.content_id
    is_referred_to = bool(content_id) and f"cid:{content_id}" in html
    is_mail = leaf.media_type == _ATTACHED_MAIL
    return message_pb2.Attachment(
        attachment_id=text(body, "attachmentId"),
        name=leaf.name,
        content_type=leaf.media_type,
        size_bytes=number(body, "size"),
        is_inline=leaf.disposition == "inline" or is_referred_to,
        content_id=content_id,
        kind=message_pb2.ATTACHMENT_KIND_ITEM if is_mail else message_pb2.ATTACHMENT_KIND_FILE,
    )
