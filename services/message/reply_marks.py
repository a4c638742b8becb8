"""Marks in HTML where mail programs put quoted mail, found in the source and carried through the sanitizer into the text.

The sanitizer drops classes and ids, so the places are marked before it with an element that shows nothing. The name of
a mark is random for each process: no mail can contain one.
"""

import re
import secrets
from collections.abc import Sequence

QUOTE, ATTRIBUTION, SIGNATURE, REST, PERHAPS_REST = "q", "a", "s", "r", "p"
"""The kinds of marked places: three of elements, which have an end, and two behind which everything is quoted; the last
only when a block of labels follows."""
MAX_MARKS = 200
_MAX_OPEN = 2000
_NONCE = secrets.token_hex(8)
_MARK = re.compile(rf'<wbr title="{_NONCE}(.)(.)"[^<>]*+>')
_WORDS = (
    "gmail_", "moz-", "cite", "CITE", "divRplyFwdMsg", "appendonsend", "mail-editor-reference", "E1E1E1", "B5C4DF",
    "e1e1e1", "b5c4df", "yahoo_quoted", "protonmail_quote", "zwchr", "ignature", 'name="quote"', "zmail_extra",
)  # fmt: skip
_TAG = re.compile(r"<(/?)(div|blockquote|span|hr|p|pre)(?=[\s/>])([^<>]*+)>", re.IGNORECASE)
_NAMES = re.compile(
    r"""\b(class|id|type|name|style)\s*+=\s*+(?:"([^"<>]{0,400}+)"|'([^'<>]{0,400}+)'|([^\s"'<>]{1,200}+))""",
    re.IGNORECASE,
)
_BORDER = re.compile(r"border-top:\s*+solid\s++#(?:e1e1e1|b5c4df)")
_RESTS = frozenset({"divrplyfwdmsg", "appendonsend", "mail-editor-reference-message-container", "zwchr"})
_SIGNATURES = frozenset({"signature", "ms-outlook-mobile-signature", "x_signature"})
_CLASSES = {
    "gmail_attr": ATTRIBUTION, "moz-cite-prefix": ATTRIBUTION, "gmail_signature": SIGNATURE,
    "moz-signature": SIGNATURE, "yahoo_quoted": QUOTE, "protonmail_quote": QUOTE, "zmail_extra": QUOTE,
}  # fmt: skip


def mark(source: str) -> str:
    """Return HTML with its quoted places marked; the same HTML when it has none. Time grows with its length.

    Args:
        source: The HTML as the mail contains it.
    """
    if not any(word in source for word in _WORDS):
        return source
    pieces, position = [], 0
    for place, kind, side in _places(source):
        pieces += [source[position:place], f'<wbr title="{_NONCE}{kind}{side}">']
        position = place
    return "".join([*pieces, source[position:]]) if pieces else source


def unmarked(fragment: str) -> str:
    """Return sanitized HTML without marks."""
    return _MARK.sub("", fragment) if _NONCE in fragment else fragment


def read_mark(attributes: str) -> tuple[str, bool] | None:
    """Return the kind of a mark and whether it begins the place; None when an element is no mark.

    Args:
        attributes: The attributes of a `wbr` element of a sanitized fragment.
    """
    place = attributes.find(_NONCE)
    found = attributes[place + len(_NONCE) :][:2] if place >= 0 else ""
    return (found[0], found[1] == "(") if len(found) == 2 else None  # noqa: PLR2004 - a kind and a side


def _places(source: str) -> Sequence[tuple[int, str, str]]:
    """Find the outermost places: position, kind and side, in the order of the source."""
    places: list[tuple[int, str, str]] = []
    opened: dict[str, list[str]] = {}
    within = ""
    for tag in _TAG.finditer(source):
        if len(places) >= MAX_MARKS:
            break
        name, stack = tag[2].lower(), opened.setdefault(tag[2].lower(), [])
        if tag[1]:
            if stack and (kind := stack.pop()):
                places.append((tag.end(), kind, ")"))
                within = ""
            continue
        kind = "" if within else _kind(name, tag[3])
        if kind in (REST, PERHAPS_REST):
            places.append((tag.start(), kind, "("))
            kind = ""
        if kind:
            places.append((tag.start(), kind, "("))
            within = kind
        if name != "hr":
            if len(stack) >= _MAX_OPEN:
                break
            stack.append(kind)
    return places


def _kind(name: str, attributes: str) -> str:
    if "=" not in attributes:
        return ""
    found = {m[1].lower(): (m[2] or m[3] or m[4] or "").lower() for m in _NAMES.finditer(attributes[:4000])}
    classes, identity = found.get("class", "").split(), found.get("id", "")
    if identity in _RESTS:
        return REST
    is_quote = name == "blockquote" and (found.get("type") == "cite" or "gmail_quote" in classes)
    if is_quote or (name == "div" and (found.get("name") == "quote" or identity.startswith("yahoo_quoted"))):
        return QUOTE
    if identity in _SIGNATURES:
        return SIGNATURE
    is_border = name == "div" and bool(_BORDER.search(found.get("style", "")))
    return next((_CLASSES[word] for word in classes if word in _CLASSES), PERHAPS_REST if is_border else "")
