"""HTML bodies: made safe to show, and made into text."""

import html as entities
import re
from collections.abc import Callable
from dataclasses import dataclass

import nh3

from services.message.html_text import to_text
from services.message.outline import MAX_TAGS, outline
from services.message.styles import STYLES, still

MAX_SOURCE_CHARACTERS = 512 * 1024
"""The length that is read of an HTML body; the rest counts as cut."""

_TAGS = nh3.ALLOWED_TAGS | {"big", "font", "main", "section", "tfoot"}
_LAYOUT = {"align", "bgcolor", "dir", "height", "lang", "style", "title", "valign", "width"}
_ATTRIBUTES = {
    # No reader follows `cite`, and its addresses are not checked like those of links.
    **{tag: names - {"cite"} for tag, names in nh3.ALLOWED_ATTRIBUTES.items()},
    "*": _LAYOUT,
    "font": {"color", "face", "size"},
    "table": {"border", "cellpadding", "cellspacing", "summary"},
    "td": {"colspan", "headers", "nowrap", "rowspan"},
    "th": {"abbr", "colspan", "headers", "nowrap", "rowspan", "scope"},
    "img": {"alt", "border", "src", "usemap"},
    "li": {"value"},
    "ol": {"reversed", "start", "type"},
    "area": {"alt", "coords", "href", "shape"},
    "map": {"name"},
}
_SCHEMES = {"cid", "ftp", "ftps", "geo", "http", "https", "mailto", "sip", "sips", "sms", "tel", "xmpp"}
_MAX_ROUNDS = 4


def _still(_tag: str, name: str, value: str) -> str:
    """Takes declarations that act out of a style; the rest is judged by its properties."""
    return still(value) if name == "style" else value


def _cleaner(attribute_filter: Callable[[str, str, str], str | None] | None) -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=attribute_filter,
        url_schemes=_SCHEMES,
        # A mail has no address that another could be relative to: it would be one of the program that shows the mail.
        url_relative="deny",
        filter_style_properties=STYLES,
        strip_comments=True,
        link_rel="noopener noreferrer",
    )


# The styles of an outline are filtered already. A style that is read again is filtered again.
_first_cleaner, _next_cleaner = _cleaner(None), _cleaner(_still)
_STYLE = re.compile(r' style="([^"]*+)"')
_CUT_TAG = re.compile(r"<[^<>]*$|&[#\w]{0,32}$")


@dataclass(frozen=True)
class Safe:
    """HTML that is safe to show.

    Args:
        html: A well-formed fragment without head and body tags.
        has_hidden_text: The source had text that no reader sees; it is not in the fragment.
        is_cut: The source had more tags than are read.
        tags: How many were read.
    """

    html: str
    has_hidden_text: bool = False
    is_cut: bool = False
    tags: int = 0


def sanitize(source: str) -> str:
    """Makes HTML safe to show: no script, no event handler, no style that acts, no hidden text; remote references stay.

    Args:
        source: At most `MAX_SOURCE_CHARACTERS` are read.

    Returns:
        A well-formed fragment without head and body tags. It means the same to every parser: sanitizing it again
        changes nothing.
    """
    return make_safe(source).html


def make_safe(source: str, max_tags: int = MAX_TAGS) -> Safe:
    """Does what `sanitize` does, and tells what it hid."""
    nested = outline(source[:MAX_SOURCE_CHARACTERS].removeprefix("\ufeff"), max_tags)
    made = str(_first_cleaner.clean(nested.html)).strip()
    if made != nested.html:
        made = _settled(made)
    return Safe(made, nested.has_hidden_text, nested.is_cut, nested.tags)


def _settled(made: str) -> str:
    """Cleans until nothing changes: a parser may read the tree that it repaired as another one (mutation)."""
    for _ in range(_MAX_ROUNDS):
        before, made = made, _cleaned(made)
        if before == made:
            return made
    return entities.escape(to_text(made))


def _cleaned(source: str) -> str:
    """Cleans again. Styles that the filter would not change need no filter, which calls Python for each attribute."""
    is_filtered = all("&" not in style and still(style) == style for style in set(_STYLE.findall(source)))
    return str((_first_cleaner if is_filtered else _next_cleaner).clean(source)).strip()


def cut(fragment: str, max_bytes: int) -> str:
    """Takes the beginning of a sanitized fragment, well-formed and within a number of bytes."""
    kept = max_bytes
    while len(fragment.encode()) > max_bytes:
        kept = kept * 7 // 8
        beginning = fragment.encode()[:kept].decode("utf-8", "ignore")
        fragment = _settled(_CUT_TAG.sub("", beginning))
    return fragment
