"""Attributes of HTML tags: read by the rules of browsers, bounded and written again."""

import html
import re
from functools import lru_cache
from html.entities import html5
from urllib.parse import urljoin

from services.message.styles import still

_MAX_ATTRIBUTES = 32
_ATTRIBUTE = re.compile(r"[\s/]*+([^\s=>/][^\s=>/]*+)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>]*+)))?")
_PLAIN_ATTRIBUTE = re.compile(r"\s([a-zA-Z][a-zA-Z0-9-]*+)=\"([^\"]*+)\"")
_TAG_END = re.compile(r"[^>]*+>")
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_REFERENCE = re.compile(r"&(?:#[0-9]{1,10}+;?|#[xX][0-9a-fA-F]{1,8}+;?|([A-Za-z][A-Za-z0-9]{1,40}+)(;?)(=?))")
_ESCAPED = re.compile(r'[&"<>]').search
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_LINKS = ("href", "src")
# Browsers take blanks off the ends of an address, and these three out of it (WHATWG URL, section 4.4).
_ENDS = "".join(map(chr, range(0x21)))
_BREAKS = str.maketrans("", "", "\t\n\r")
_ABSOLUTE = re.compile(r"(?:https?://[a-z0-9\[]|mailto:|cid:|tel:)", re.IGNORECASE)
_SPECIAL = re.compile(r"(https?|ftp):([/\\]*+)", re.IGNORECASE)
# Names and a query, without dots that lead upwards: joining them by the general rules takes thirty times as long.
_PLAIN_RELATIVE = re.compile(r"[\w-][\w.-]*+(?:/[\w-][\w.-]*+)*+(?:\?[\w.&=%-]++)?", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?(\d{1,9})\s*(%?)")
# The largest value of an attribute in pixels, columns, rows or items; a larger one covers its surroundings.
_LARGEST = {
    "width": 2000, "height": 2000, "border": 100, "cellpadding": 400, "cellspacing": 400, "colspan": 1000,
    "rowspan": 1000, "span": 1000, "hspace": 100, "vspace": 100, "size": 100,
    "start": 9999, "value": 9999,
}  # fmt: skip
_BOUNDED = frozenset(_LARGEST) | {"style", *_LINKS}


def read_attributes(source: str, position: int) -> tuple[dict[str, str], int]:
    """Reads the attributes of a tag, the first of each name; returns them decoded, and the place behind the tag."""
    made: dict[str, str] = {}
    while attribute := _ATTRIBUTE.match(source, position):
        position = attribute.end()
        value = attribute[2] or attribute[3] or attribute[4] or ""
        if len(made) < _MAX_ATTRIBUTES and (name := attribute[1].lower()) not in made and is_name(name):
            made[name] = _REFERENCE.sub(_character, value) if "&" in value else value
    return made, tag_end(source, position)


def read_plain_attributes(tag: str) -> dict[str, str]:
    """Reads the attributes of a tag whose values all stand in double quotes, as most programs write them."""
    made: dict[str, str] = {}
    for name, value in _PLAIN_ATTRIBUTE.findall(tag)[:_MAX_ATTRIBUTES]:
        made.setdefault(name.lower(), _REFERENCE.sub(_character, value) if "&" in value else value)
    return made


@lru_cache(maxsize=1024)
def is_name(name: str) -> bool:
    """Tell whether HTML knows such names of elements and attributes: a letter, then letters, digits and hyphens."""
    return bool(_NAME.fullmatch(name))


def _character(reference: re.Match[str]) -> str:
    """Decodes a reference in an attribute (HTML 13.2.5.73).

    A name without ";" is a reference only if no letter, digit or "=" follows it.
    """
    name, semicolon, equals = reference[1], reference[2], reference[3]
    if name is None:
        return html.unescape(reference[0])
    if semicolon:
        return html5.get(f"{name};", reference[0].removesuffix("=")) + equals
    return reference[0] if equals else html5.get(name, reference[0])


def write_attributes(attributes: dict[str, str], base: str) -> str:
    """Writes attributes in quotes, links resolved, sizes and styles bounded."""
    if not attributes:
        return ""
    made = []
    for key, given in attributes.items():
        value = _bounded(key, given, base) if key in _BOUNDED else given
        if value is not None:
            made.append(f' {key}="{value.translate(_ESCAPES) if _ESCAPED(value) else value}"')
    return "".join(made)


def _bounded(name: str, value: str, base: str) -> str | None:
    """Returns the value that an attribute keeps, or None when it keeps none."""
    if name == "style":
        return still(value) or None
    if name in _LARGEST:
        number = _NUMBER.match(value)
        largest = 100 if number and number[2] else _LARGEST[name]
        return value if number and int(number[1]) <= largest else None
    return link(value, base) if name in _LINKS else value


def link(address: str, base: str) -> str:
    """Returns an address that means the same on every page, if it has a scheme or the mail has a base.

    A page resolves `https:name` and `https:/name` against its own address if it has the same scheme (WHATWG URL,
    section 4.4, "special relative or authority state"). In a mail, which has no page, they are `https://name`.

    Args:
        address: The value of an attribute, decoded.
        base: The address that relative links of the mail belong to, empty without one.
    """
    if _ABSOLUTE.match(address):
        return address
    bare = address.strip(_ENDS).translate(_BREAKS)
    special = _SPECIAL.match(bare)
    is_relative = bool(base) and (
        len(special[2]) < len("//") and base.lower().startswith(f"{special[1].lower()}:")
        if special
        else not _SCHEME.match(bare)
    )
    if not is_relative:
        return f"{special[1].lower()}://{bare[special.end() :]}" if special else bare
    if _PLAIN_RELATIVE.fullmatch(bare) and (folder := _folder(base)):
        return folder + bare
    try:
        return urljoin(base, bare[special.end(1) + 1 :] if special else bare)
    except ValueError:
        return ""


@lru_cache(maxsize=64)
def _folder(base: str) -> str:
    """The beginning that plain relative addresses share; empty for a base that has to be resolved itself."""
    whole = urljoin(base, "x")
    return whole[:-1] if whole.endswith("/x") and "/." not in base else ""


def base_address(address: str) -> str:
    """Returns the address that relative links of the mail belong to; empty when it is none of the web."""
    made = link(address, "")
    return made if made.lower().startswith(("http://", "https://")) else ""


_PAGE_ATTRIBUTES = frozenset({"dir", "lang"})


def page_attributes(attributes: dict[str, str]) -> dict[str, str]:
    """Returns the attributes that a page hands on to its block: its colours as a style, its language, its direction."""
    looks = [
        f"{name}:{attributes[key]}"
        for name, key in (("background-color", "bgcolor"), ("color", "text"))
        if key in attributes
    ]
    style = still(";".join([*looks, attributes.get("style", "")]))
    kept = {key: value for key, value in attributes.items() if key in _PAGE_ATTRIBUTES}
    return {**kept, "style": style} if style else kept


def tag_end(source: str, position: int) -> int:
    """Return the place behind the ">" that closes a tag, or the end of the source."""
    end = _TAG_END.match(source, position)
    return end.end() if end else len(source)
