"""HTML of any shape to HTML of bounded shape: well nested, not deep, attributes in quotes.

Text that no reader sees is left out here too, because only here the styles of a mail are still whole.

Parsers that follow the standard take time and memory that grow with the square of their input when thousands of
elements are nested or left open (64 KiB of `<font>` and `<p>` took ours 6 s, another 20 s). Here each character is
looked at once and elements are opened and closed by a simpler rule, so that what the sanitizer gets is harmless to it.
Nothing here decides what is safe to show: the sanitizer does, on what comes out.
"""

import re
from dataclasses import dataclass

from services.processor.mail.message.attributes import (
    base_address,
    is_name,
    page_attributes,
    read_attributes,
    tag_end,
    write_attributes,
)
from services.processor.mail.message.styles import Sheet
from services.processor.mail.message.visibility import View, has_words

MAX_DEPTH = 200
_MAX_OPEN_FORMATTING = 32
MAX_TAGS = 40_000
"""Tags that are read; the source behind them counts as cut. Long newsletters have 10,000."""
MAX_MADE_CHARACTERS = 640 * 1024
"""What is made of a source; twice as much as an event keeps. Escaped characters make it longer than the source."""

_VOID = frozenset(
    [
        "area",
        "base",
        "basefont",
        "bgsound",
        "br",
        "col",
        "embed",
        "frame",
        "hr",
        "img",
        "input",
        "keygen",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    ]
)
_DROPPED_WITH_CONTENT = frozenset(
    [
        "script",
        "style",
        "title",
        "textarea",
        "xmp",
        "iframe",
        "noembed",
        "noframes",
        "svg",
        "math",
        "template",
        "select",
        "object",
        "applet",
        "audio",
        "video",
        "canvas",
        "datalist",
    ]
)
_FORMATTING = frozenset(
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"]
)
_CELLS = frozenset(("td", "th", "caption"))
_ROWS = frozenset(("tr",)) | _CELLS
_SECTIONS = frozenset(("tbody", "thead", "tfoot", "colgroup")) | _ROWS
_TABLE = _SECTIONS | {"table"}
_INLINE = _FORMATTING | frozenset(
    [
        "abbr",
        "acronym",
        "bdi",
        "bdo",
        "cite",
        "data",
        "del",
        "dfn",
        "ins",
        "kbd",
        "label",
        "map",
        "mark",
        "q",
        "rp",
        "rt",
        "rtc",
        "ruby",
        "samp",
        "span",
        "sub",
        "sup",
        "time",
        "var",
    ]
)
# What an opening tag closes, when it is the innermost element but for formatting.
_CLOSES = {
    "li": frozenset(("li",)), "dt": frozenset(("dt", "dd")), "dd": frozenset(("dt", "dd")), "td": _CELLS, "th": _CELLS,
    "tr": _ROWS, "tbody": _SECTIONS, "thead": _SECTIONS, "tfoot": _SECTIONS,
}  # fmt: skip
_PARAGRAPH = frozenset(("p",))

_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,60})")
_CONTENT_END = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _DROPPED_WITH_CONTENT}
_PAGES = frozenset(("body", "html"))
_CUT_OFF = re.compile(r"<[^<>]*+\Z|&[#\w]{0,32}+\Z")


class _Outline:
    """The state while the input is read: what is open, and how text is shown there."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.has_hidden_text = False
        self.base = ""
        self.sheet = Sheet()
        self._open: list[str] = []
        self._written: list[str] = []
        self._tables = 0
        self._views: list[View] = [View()]
        self._formatting = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Opens an element, unless too much is open."""
        if name not in _INLINE and name not in _VOID:
            self._close_implied(_PARAGRAPH)
        if name in _CLOSES:
            self._close_implied(_CLOSES[name])
        if name == "base" and not self.base:
            self.base = base_address(attributes.get("href", ""))
        if name == "dialog" and "open" not in attributes:  # HTML 4.11.4: it is not shown
            attributes = {**attributes, "hidden": ""}
        outer = view = self._views[-1]
        if attributes or self.sheet.names(name):
            view = outer.within(name, attributes, self.sheet)
            if view.is_ground_lost:
                attributes = view.readable(name, attributes, outer)
        if name in _VOID:
            if not view.is_gone:
                self.pieces.append(f"<{name}{write_attributes(attributes, self.base)}>")
        elif len(self._open) < MAX_DEPTH and not (name in _FORMATTING and self._formatting >= _MAX_OPEN_FORMATTING):
            self._push(name, attributes, view)

    def end(self, name: str) -> None:
        """Closes an element with all that is open in it; a tag that nothing was opened for is left out."""
        for place in range(len(self._open) - 1, -1, -1):
            if self._open[place] == name:
                return self._close_down_to(place)
            if self._open[place] in _TABLE and name not in _TABLE:
                return None
        return None

    def text(self, source: str) -> None:
        """Takes text between tags: references stay as they are, and nothing in it opens a tag."""
        if self._views[-1].shows_text:
            self.pieces.append(source.replace(">", "&gt;") if ">" in source else source)
        elif not self.has_hidden_text:
            self.has_hidden_text = has_words(source)

    def finish(self) -> str:
        """Closes what is open."""
        self._close_down_to(0)
        return "".join(self.pieces)

    def _push(self, name: str, attributes: dict[str, str], view: View) -> None:
        written = name
        if name in _PAGES:  # a fragment has no page: its looks go to a block of their own
            attributes = page_attributes(attributes)
            written = "div" if attributes else ""
        elif name in _SECTIONS and not self._tables:  # parsers drop what belongs in a table, with its looks
            written = "div"
        self._open.append(name)
        self._written.append("" if view.is_gone else written)
        self._views.append(view)
        self._formatting += name in _FORMATTING
        self._tables += name == "table"
        if self._written[-1]:
            self.pieces.append(f"<{written}{write_attributes(attributes, self.base)}>")

    def _close_implied(self, names: frozenset[str]) -> None:
        for place in range(len(self._open) - 1, -1, -1):
            if self._open[place] in names:
                return self._close_down_to(place)
            if self._open[place] not in _INLINE:
                return None
        return None

    def _close_down_to(self, place: int) -> None:
        while len(self._open) > place:
            name, written = self._open.pop(), self._written.pop()
            self._views.pop()
            self._formatting -= name in _FORMATTING
            self._tables -= name == "table"
            if written:
                self.pieces.append(f"</{written}>")


@dataclass(frozen=True)
class Outlined:
    """HTML of bounded shape.

    Args:
        html: The HTML.
        has_hidden_text: Text was left out because no reader sees it.
        is_cut: The source had too many tags and was read in part.
        tags: How many were read.
    """

    html: str
    has_hidden_text: bool
    is_cut: bool
    tags: int = 0


def outline(source: str, max_tags: int = MAX_TAGS) -> Outlined:
    """Makes HTML well nested and not deep; scripts, styles, drawings and hidden text are left out with their content.

    Args:
        source: Anything. Time and memory grow with its length, not faster.
        max_tags: Tags that are read.
    """
    made, position, length, tags = _Outline(), 0, len(source), 0
    while position < length and tags < max_tags:
        tags += 1
        tag_start = source.find("<", position)
        if tag_start < 0:
            made.text(source[position:])
            position = length
            break
        if tag_start > position:
            made.text(source[position:tag_start])
        position = _markup(source, tag_start, made)
    whole = made.finish()
    kept = whole if len(whole) <= MAX_MADE_CHARACTERS else _CUT_OFF.sub("", whole[:MAX_MADE_CHARACTERS])
    return Outlined(kept, made.has_hidden_text, position < length or kept is not whole, tags)


def _markup(source: str, start: int, made: _Outline) -> int:
    """Reads what begins with "<"; returns the place behind it."""
    tag = _TAG.match(source, start)
    if tag is None:
        return _no_tag(source, start, made)
    name = tag[2].lower()
    if name in _DROPPED_WITH_CONTENT and not tag[1]:
        found = _CONTENT_END[name].search(source, tag.end())
        if name == "style":
            made.sheet.add(source[tag_end(source, tag.end()) : found.start() if found else len(source)])
        return tag_end(source, found.end()) if found else len(source)
    attributes, end = (
        read_attributes(source, tag.end()) if not source.startswith(">", tag.end()) else ({}, tag.end() + 1)
    )
    if not is_name(name):
        return end
    if tag[1]:
        made.end(name)
    else:
        made.start(name, attributes)
    return end


def _no_tag(source: str, start: int, made: _Outline) -> int:
    """Comments, declarations and processing instructions are left out; any other "<" is text."""
    if source.startswith("<!--", start):
        end = source.find("-->", start + 2)
        return end + 3 if end >= 0 else len(source)
    if source.startswith(("<!", "<?", "</"), start):
        return tag_end(source, start + 2)
    made.text("&lt;")
    return start + 1
