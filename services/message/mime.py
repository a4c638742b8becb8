"""Gmail's tree of MIME parts: which are shown, in which of their forms, and which are attachments (RFC 8621 4.1.4)."""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import unescape
from typing import Any, TypeAlias
from urllib.parse import unquote

from mailmesh.mail.v1 import message_pb2
from services.message.bodies import MAX_PARTS, Part, lines_of, text_as_html
from services.message.bounds import TEXT_BYTES, Cuts
from services.message.charsets import decode_bytes
from services.message.fields import clean, items, members, number, text
from services.message.flowed import unflow
from services.message.headers import MAX_PART_FIELDS, Headers
from services.message.html import MAX_SOURCE_CHARACTERS
from services.message.invitations import MAX_CALENDAR_BYTES, invited_uid
from services.message.words import base64url, decode_words

MAX_DEPTH = 60
"""Nesting of parts that is looked into."""
_MAX_TREE_PARTS = 5000
# The size that is decoded of all bodies of a form together; no form keeps more.
_MAX_HTML_BYTES = 2 * MAX_SOURCE_CHARACTERS
_MAX_TEXT_BYTES = 2 * TEXT_BYTES
_ATTACHED_MAIL = frozenset(("message/rfc822", "message/global"))
_HTML = "text/html"
_CALENDAR = "text/calendar"
_FORMS = frozenset(("text/plain", _HTML))
# Kinds of text that programs read. A mail that has nothing else shows them as plain text (RFC 2046 4.1.4).
_DATA = frozenset(
    f"text/{subtype}"
    for subtype in (
        "calendar", "css", "csv", "directory", "ecmascript", "javascript", "rfc822-headers", "rtf",
        "tab-separated-values", "vcard", "vnd.amp-html", "watch-html", "x-amp-html", "x-vcalendar", "x-vcard", "xml",
    )
)  # fmt: skip
_CONTENT_ID = re.compile(
    r"""(?<=")\s{0,9}cid:([^"]{1,998})|(?<=')\s{0,9}cid:([^']{1,998})|cid:([^\s"'<>)]{1,998})""", re.IGNORECASE
)


@dataclass
class _Budget:
    """The size that may still be decoded of a mail's bodies, in bytes."""

    html: int = _MAX_HTML_BYTES
    text: int = _MAX_TEXT_BYTES

    def decode(self, encoded: str, *, is_html: bool) -> tuple[bytes, bool]:
        """Decodes the beginning of a body, as far as the budget allows; tells whether there is more."""
        left = self.html if is_html else self.text
        data = base64url(encoded, left) if left else b""
        if is_html:
            self.html -= len(data)
        else:
            self.text -= len(data)
        return data, len(encoded) * 3 // 4 > left


@dataclass
class _Leaf:
    """A part that holds no others."""

    raw: Mapping[str, Any]
    headers: Headers
    media_type: str
    is_shown: bool = False

    @property
    def disposition(self) -> str:
        return self.headers.value("Content-Disposition").main

    @property
    def content_id(self) -> str:
        return _content_id(self.headers)

    @cached_property
    def name(self) -> str:
        given = text(self.raw, "filename") or self.headers.value("Content-Disposition").parameters.get("filename", "")
        return clean(decode_words((given or self.headers.value("Content-Type").parameters.get("name", ""))[:1024]))

    def part(self, budget: _Budget) -> Part:
        """The text, decoded, no more of it than is used."""
        body = members(self.raw, "body")
        encoded = text(body, "data")
        content_type = self.headers.value("Content-Type")
        data, is_long = budget.decode(encoded, is_html=self.media_type == _HTML)
        decoded = decode_bytes(data, content_type.parameters.get("charset", ""))
        is_cut = is_long or (not encoded and bool(text(body, "attachmentId")))
        if self.media_type == _HTML:
            return Part(html=decoded, is_cut=is_cut)
        if content_type.word("format") == "flowed":
            decoded = unflow(lines_of(decoded), delete_space=content_type.word("delsp") == "yes")
        return Part(text=decoded, is_cut=is_cut)


@dataclass
class _Choice:
    """Parts that are alternatives of each other, in the order of the mail."""

    branches: list[list["_Node"]] = field(default_factory=list)

    def part(self, budget: _Budget) -> Part:
        """One part of the alternatives, in both of its forms as far as they are there."""
        htmls, texts, is_cut = [], [], False
        for branch in self.branches:
            parts = [node.part(budget) for node in branch]
            is_cut = is_cut or any(part.is_cut for part in parts)
            if any(part.html is not None for part in parts):
                htmls += [text_as_html(part.text or "") if part.html is None else part.html for part in parts]
                texts += [part.text for part in parts if part.html is not None and part.text is not None]
            else:
                texts += [part.text or "" for part in parts]
        return Part("\n\n".join(texts) if texts else None, "\n".join(htmls) if htmls else None, is_cut)


_Node: TypeAlias = _Leaf | _Choice


class MimeTree:
    """The parts of a mail.

    Args:
        payload: Gmail's `payload`, of any shape.
    """

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self.headers = Headers(items(payload, "headers"))
        self._payload = payload
        self._visited = 0
        self._leaves: list[_Leaf] = []
        self._nodes = self._read(payload, 0, "", is_first=True)

    def shown(self) -> list[Part]:
        """The parts that are shown, in order; alternatives of each other are one part."""
        budget = _Budget()
        return [node.part(budget) for node in self._nodes[: MAX_PARTS + 1]]

    def media_types(self) -> list[str]:
        """The media types of all parts that hold no others."""
        return [leaf.media_type for leaf in self._leaves]

    def attachments(self, parts: list[Part], cuts: Cuts) -> Iterator[message_pb2.Attachment]:
        """Describes the parts that are not shown, in order.

        Args:
            parts: Those that are shown: a part that their HTML refers to by content id is inline.
            cuts: Notes whether the mail has more parts than are read.
        """
        cuts.are_attachments_cut = cuts.are_attachments_cut or self._visited > _MAX_TREE_PARTS
        hidden = [leaf for leaf in self._leaves if not leaf.is_shown]
        referred_to = _references(parts) if any(leaf.content_id for leaf in hidden) else frozenset()
        for leaf in hidden:
            yield _attachment(leaf, referred_to)

    def detached(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The shown parts and the invitation whose content Gmail holds back: attachment id and the part's `body`."""
        calendar = self._calendar
        for leaf in self._leaves:
            body, is_read = members(leaf.raw, "body"), leaf.is_shown or leaf is calendar
            if is_read and isinstance(body, dict) and text(body, "attachmentId") and not text(body, "data"):
                yield text(body, "attachmentId"), body

    def invitation(self) -> str:
        """The iCalendar UID of the event that the mail invites to; empty when it does not, or its part is missing."""
        leaf = self._calendar
        return (
            "" if leaf is None else invited_uid(base64url(text(members(leaf.raw, "body"), "data"), MAX_CALENDAR_BYTES))
        )

    @property
    def _calendar(self) -> "_Leaf | None":
        """The first part that is a calendar, unless it is too long to be read."""
        found = next((leaf for leaf in self._leaves if leaf.media_type == _CALENDAR), None)
        is_short = found is not None and number(members(found.raw, "body"), "size") <= MAX_CALENDAR_BYTES
        return found if is_short else None

    def _read(self, raw: Any, depth: int, parent: str, *, is_first: bool) -> list[_Node]:
        self._visited += 1
        if self._visited > _MAX_TREE_PARTS or depth > MAX_DEPTH:
            return []
        media_type = text(raw, "mimeType").strip().lower()[:255] or "text/plain"
        inner = items(raw, "parts")[: _MAX_TREE_PARTS + 1]
        # The parts of an attached mail or report are not of this mail; any other part that has parts is looked into.
        if media_type.startswith("message/") or not (inner or media_type.startswith("multipart/")):
            return self._leaf(raw, media_type, parent, is_first=is_first)
        kind = media_type.removeprefix("multipart/")
        first = _root(self._headers_of(raw), inner) if kind == "related" else 0
        shown = [self._read(part, depth + 1, kind, is_first=place == first) for place, part in enumerate(inner)]
        if kind == "alternative":
            singles = [
                branch[0] for branch, part in zip(shown, inner, strict=True) if branch and not items(part, "parts")
            ]
            return _choices(shown, [node for node in singles if isinstance(node, _Leaf)])
        return list(itertools.islice(itertools.chain.from_iterable(shown), MAX_PARTS + 1))

    def _headers_of(self, raw: Any) -> Headers:
        return self.headers if raw is self._payload else Headers(items(raw, "headers"), MAX_PART_FIELDS)

    def _leaf(self, raw: Any, media_type: str, parent: str, *, is_first: bool) -> list[_Node]:
        leaf = _Leaf(raw if isinstance(raw, Mapping) else {}, self._headers_of(raw), media_type)
        self._leaves.append(leaf)
        leaf.is_shown = _is_body(leaf, parent, is_first=is_first)
        return [leaf] if leaf.is_shown else []


def _is_body(leaf: _Leaf, parent: str, *, is_first: bool) -> bool:
    """Tells whether a part is text that stands in the mail itself, by the algorithm of RFC 8621 4.1.4.

    A name makes an attachment of a later part only: not of the root, of the first part of its multipart, or of an
    alternative (RFC 2183 2.1 leaves the choice to Content-Disposition). Of multipart/related only the root is shown
    (RFC 2387 3.2). Text of an unknown subtype is read as plain (RFC 2046 4.1.4).
    """
    if not leaf.media_type.startswith("text/") or leaf.disposition == "attachment":
        return False
    if leaf.media_type in _DATA and parent:
        return False
    return is_first or parent == "alternative" or (parent != "related" and not leaf.name)


def _choices(branches: list[list[_Node]], direct: list[_Leaf]) -> list[_Node]:
    """Makes one node of alternatives. Another kind of text is an attachment when plain text or HTML stands beside it.

    Args:
        branches: The shown parts of each alternative.
        direct: The alternatives that are single parts.
    """
    if any(_has_form(branch) for branch in branches):
        for leaf in direct:
            leaf.is_shown = leaf.is_shown and leaf.media_type in _FORMS
    kept = [[node for node in branch if isinstance(node, _Choice) or node.is_shown] for branch in branches]
    return [_Choice([branch for branch in kept if branch])] if any(kept) else []


def _has_form(nodes: list[_Node]) -> bool:
    """Tells whether plain text or HTML is among the parts."""
    return any(
        any(map(_has_form, node.branches)) if isinstance(node, _Choice) else node.media_type in _FORMS for node in nodes
    )


def _root(headers: Headers, inner: list[Any]) -> int:
    """The place of the root of a multipart/related: the part that `start` names, else the first (RFC 2387 3.2)."""
    start = headers.value("Content-Type").parameters.get("start", "").strip("<> ")
    if not start:
        return 0
    given = (Headers(items(part, "headers"), MAX_PART_FIELDS) for part in inner[:MAX_PARTS])
    return next((place for place, found in enumerate(given) if _content_id(found) == start), 0)


def _content_id(headers: Headers) -> str:
    return headers.value("Content-ID").main and headers.first("Content-ID").strip("<> ")[:998]


def _references(parts: list[Part]) -> frozenset[str]:
    """The content ids that HTML refers to: in links, grounds, styles and comments for Outlook (RFC 2392 2)."""
    found: set[str] = set()
    for part in parts:
        source = part.html or ""
        for match in _CONTENT_ID.findall(source) if "cid:" in source.lower() else ():
            content_id = unescape(match[0] or match[1] or match[2]).strip()
            # Inside of a quoted style the reference ends before the quote does.
            candidates = (content_id, content_id.split(")")[0].strip("'\" "))
            found.update(form for given in candidates for form in (given, unquote(given)))
    return frozenset(found)


def _attachment(leaf: _Leaf, referred_to: frozenset[str]) -> message_pb2.Attachment:
    body, content_id = members(leaf.raw, "body"), leaf.content_id
    return message_pb2.Attachment(
        attachment_id=text(body, "attachmentId"),
        name=leaf.name,
        content_type=leaf.media_type,
        size_bytes=number(body, "size"),
        is_inline=leaf.disposition == "inline" or content_id in referred_to,
        content_id=content_id,
        kind=message_pb2.ATTACHMENT_KIND_ITEM
        if leaf.media_type in _ATTACHED_MAIL
        else message_pb2.ATTACHMENT_KIND_FILE,
        part_id=text(leaf.raw, "partId")[:200] or "root",
    )
