"""HTML bodies: made safe to show, and made into text."""

import html as entities
import re

import nh3
from resiliparse.extract.html2text import extract_plain_text

from services.processor.mail.message.outline import outline

MAX_SOURCE_CHARACTERS = 512 * 1024
"""What is read of an HTML body; what is behind it counts as cut."""

_TAGS = nh3.ALLOWED_TAGS | {"big", "font", "main", "section", "tfoot"}
_LAYOUT = {"align", "bgcolor", "dir", "height", "lang", "style", "title", "valign", "width"}
_ATTRIBUTES = {
    # Nobody follows `cite`, and its addresses are not looked at like those of links.
    **{tag: names - {"cite"} for tag, names in nh3.ALLOWED_ATTRIBUTES.items()},
    "*": _LAYOUT,
    "font": {"color", "face", "size"},
    "table": {"border", "cellpadding", "cellspacing", "summary"},
    "td": {"colspan", "headers", "nowrap", "rowspan"},
    "th": {"abbr", "colspan", "headers", "nowrap", "rowspan", "scope"},
    "img": {"alt", "border", "src"},
    "li": {"value"},
}
# Properties that only say how the mail's own text looks: none that fetches, covers, moves or hides behind other things.
_STYLES = {
    "background-color", "border", "border-bottom", "border-bottom-color", "border-bottom-style", "border-bottom-width",
    "border-collapse", "border-color", "border-left", "border-left-color", "border-left-style", "border-left-width",
    "border-radius", "border-right", "border-right-color", "border-right-style", "border-right-width", "border-spacing",
    "border-style", "border-top", "border-top-color", "border-top-style", "border-top-width", "border-width", "color",
    "direction", "display", "font", "font-family", "font-size", "font-style", "font-variant", "font-weight", "height",
    "letter-spacing", "line-height", "list-style-type", "margin", "margin-bottom", "margin-left", "margin-right",
    "margin-top", "max-height", "max-width", "min-height", "min-width", "padding", "padding-bottom", "padding-left",
    "padding-right", "padding-top", "text-align", "text-decoration", "text-indent", "text-transform", "vertical-align",
    "white-space", "width", "word-break", "word-spacing", "word-wrap",
}  # fmt: skip
# A declaration with an escape, a rule or a function, colours' own but for; some of them act in old readers.
_ACTING_STYLE = re.compile(r"[\\@<]|(?:^|[^\w-])(?!(?:rgb|hsl)a?\()[\w-]*\(", re.IGNORECASE)
_SCHEMES = {"cid", "ftp", "ftps", "geo", "http", "https", "mailto", "sip", "sips", "sms", "tel", "xmpp"}
_MAX_ROUNDS = 4


def _still(_tag: str, name: str, value: str) -> str:
    """Takes declarations that act out of a style; what is left is judged by its properties."""
    if name != "style" or not _ACTING_STYLE.search(value):
        return value
    return ";".join(declaration for declaration in value.split(";") if not _ACTING_STYLE.search(declaration))


_cleaner = nh3.Cleaner(
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    attribute_filter=_still,
    url_schemes=_SCHEMES,
    # A mail has no address that another could be relative to: it would be one of whoever shows the mail.
    url_relative="deny",
    filter_style_properties=_STYLES,
    strip_comments=True,
    link_rel="noopener noreferrer",
)
_MANY_BREAKS = re.compile(r"\n{3,}")
_LINE_END = re.compile(r"[ \t\xa0]+$", re.MULTILINE)
_CUT_TAG = re.compile(r"<[^<>]*$|&[#\w]{0,32}$")


def sanitize(source: str) -> str:
    """Makes HTML safe to show: no script, no event handler, no style that acts; remote references stay.

    Args:
        source: At most `MAX_SOURCE_CHARACTERS` are read.

    Returns:
        A well-formed fragment without head and body tags. It means the same to every parser: sanitizing it again
        changes nothing.
    """
    made = _cleaned(outline(source[:MAX_SOURCE_CHARACTERS]))
    for _ in range(_MAX_ROUNDS):
        # What a parser mends may, written down, be read as something else (mutation): so it is read again.
        before, made = made, _cleaned(made)
        if before == made:
            return made
    return entities.escape(to_text(made))


def _cleaned(source: str) -> str:
    return str(_cleaner.clean(source)).strip()


def cut(fragment: str, max_bytes: int) -> str:
    """Takes the beginning of a sanitized fragment, well-formed and within a number of bytes."""
    kept = max_bytes
    while len(fragment.encode()) > max_bytes:
        kept = kept * 7 // 8
        beginning = fragment.encode()[:kept].decode("utf-8", "ignore")
        fragment = sanitize(_CUT_TAG.sub("", beginning))
    return fragment


def to_text(fragment: str) -> str:
    """Makes text of a sanitized fragment: a line for each block, bullets for lists, no links and no pictures."""
    made = extract_plain_text(
        fragment, preserve_formatting=True, main_content=False, list_bullets=True, alt_texts=False, links=False,
        form_fields=False, noscript=False,
    )  # fmt: skip
    return _MANY_BREAKS.sub("\n\n", _LINE_END.sub("", made)).strip("\n").replace("\xa0", " ")
