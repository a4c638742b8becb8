"""HTML of any shape to HTML of bounded shape: well nested, not deep, attributes in quotes.

Text that no reader sees is left out here too, because only here the styles of a mail are still whole.

Parsers that follow the standard take time and memory that grow with the square of their input when thousands of
elements are nested or left open (64 KiB of `<font>` and `<p>` took ours 6 s, another 20 s). Here each character is
read once and elements are opened and closed by a simpler rule, so that what the sanitizer gets is harmless to it.
Nothing here decides what is safe to show: the sanitizer does, on what comes out.
"""

import re
from dataclasses import dataclass

from services.message.attributes import (
    base_address,
    is_name,
    page_attributes,
    read_attributes,
    read_plain_attributes,
    tag_end,
)
from services.message.places import PAGE_PLACES, Places
from services.message.sheets import Sheet
from services.message.tags import PAGE, Tag
from services.message.visibility import View, has_words

MAX_DEPTH = 200
_MAX_OPEN_FORMATTING = 32
MAX_TAGS = 40_000
"""Tags that are read; the source behind them counts as cut. Long newsletters have 10,000."""
MAX_MADE_CHARACTERS = 640 * 1024
"""The length that is made of a source, twice that of an event. Escaped characters make it longer than the source."""

_VOID = frozenset([
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen",
    "link", "meta", "param", "source", "track", "wbr"
])  # fmt: skip
_DROPPED_WITH_CONTENT = frozenset([
    "script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "svg", "math", "template",
    "select", "object", "applet", "audio", "video", "canvas", "datalist"
])  # fmt: skip
_FORMATTING = frozenset(
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"]
)
_CELLS = frozenset(("td", "th", "caption"))
_ROWS = frozenset(("tr",)) | _CELLS
_SECTIONS = frozenset(("tbody", "thead", "tfoot", "colgroup")) | _ROWS
_TABLE = _SECTIONS | {"table"}
_INLINE = _FORMATTING | frozenset([
    "abbr", "acronym", "bdi", "bdo", "cite", "data", "del", "dfn", "ins", "kbd", "label", "map", "mark", "q",
    "rp", "rt", "rtc", "ruby", "samp", "span", "sub", "sup", "time", "var"
])  # fmt: skip
# Elements that parsers put between a parent and a row or a cell that lacks them (HTML 13.2.6.4.9 to 13.2.6.4.14).
_IMPLIED: dict[str, dict[str, tuple[str, ...]]] = {
    "tr": {"table": ("tbody",)},
    **{cell: {"table": ("tbody", "tr"), "tbody": ("tr",), "thead": ("tr",), "tfoot": ("tr",)} for cell in ("td", "th")},
}
# The elements that an opening tag closes, when each is the innermost element but for formatting.
_PARAGRAPH = (frozenset(("p",)),)
_CLOSES: dict[str, tuple[frozenset[str], ...]] = {
    **dict.fromkeys(_INLINE | _VOID, ()),
    **dict.fromkeys(("dt", "dd"), (*_PARAGRAPH, frozenset(("dt", "dd")))),
    **dict.fromkeys(("tbody", "thead", "tfoot"), (*_PARAGRAPH, _CELLS, _ROWS, _SECTIONS)),
    "li": (*_PARAGRAPH, frozenset(("li",))), "td": (*_PARAGRAPH, _CELLS), "th": (*_PARAGRAPH, _CELLS),
    "tr": (*_PARAGRAPH, _CELLS, _ROWS),
}  # fmt: skip

_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,60})")
# Text, and behind it a tag as most mails write it.
_NEXT = re.compile(
    r"""([^<]*+)(<(/?)([a-zA-Z][a-zA-Z0-9-]{0,60}+)(?:\s++[a-zA-Z][a-zA-Z0-9-]*+="[^"]*+")*+\s*+/?+>)?+"""
)
_CONTENT_END = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _DROPPED_WITH_CONTENT}
_SHEET_OR_COMMENT = re.compile(r"<!--|<style(?=[\s/>])", re.IGNORECASE)
# Elements whose text is in no program that shows mails.
_INERT = frozenset(("template", "datalist", "noembed", "noframes"))
# Blocks whose tags the sanitizer drops: their text keeps lines of its own.
_BLOCKS = frozenset([
    "address", "dialog", "dir", "fieldset", "form", "legend", "listing", "marquee", "menu", "optgroup",
    "option", "search"
])  # fmt: skip
_PAGES = frozenset(("body", "html"))
_CUT_OFF = re.compile(r"<[^<>]*+\Z|&[#\w]{0,32}+\Z")


class _Outline:
    """The state while the input is read: what is open, and how text is shown there.

    Args:
        places: Counts elements, where a style sheet chooses by their places.
    """

    def __init__(self, places: Places | None = None) -> None:
        self.places = places
        self.pieces: list[str] = []
        self.has_hidden_text = False
        self.base = ""
        self.sheet = Sheet()
        self.tags: dict[str, Tag] = {}
        self._implies = places is not None
        self._open: list[str] = []
        self._path = [Tag("html", {}, PAGE_PLACES["html"]), Tag("body", {}, PAGE_PLACES["body"])]  # not always written
        self._written: list[str] = []
        self._tables = 0
        self._views: list[View] = [PAGE]
        self._judged, self._is_shown = PAGE, True
        self._formatting = 0

    def read_sheets(self, source: str) -> None:
        """Reads the style sheets before all else, since they speak of what stands before them, too."""
        position = 0
        while found := _SHEET_OR_COMMENT.search(source, position):
            is_comment = found[0] == "<!--"
            closed = None if is_comment else _CONTENT_END["style"].search(source, found.end())
            end = source.find("-->", found.start() + 2) if is_comment else closed.start() if closed else len(source)
            if end < 0:
                break
            if not is_comment:
                attributes, begin = read_attributes(source, found.end())
                if attributes.get("type", "").strip().lower() in ("", "text/css"):
                    self.sheet.add(source[begin:end], attributes.get("media", ""))
            position = end
        self._implies = self.sheet.has_paths or self.sheet.has_places or any(map(self.sheet.names, ("tbody", "tr")))
        page, body = self._path
        self._views[0] = body.view_within(page.view_within(PAGE, self.sheet, ()), self.sheet, (page,))

    def start(self, tag: Tag) -> None:
        """Opens an element, unless too much is open."""
        name, attributes = tag.name, tag.attributes
        for names in _CLOSES.get(name, _PARAGRAPH):
            self._close_implied(names)
        if name == "base" and not self.base:
            self.base = base_address(attributes.get("href", ""))
            self.tags.clear()
        if self._implies and name in _IMPLIED:
            self._imply(_IMPLIED[name].get(self._open[-1] if self._open else "", ()))
        if self.places is not None:
            tag = Tag(name, attributes, self.places.add(name, self._open[-1] if self._open else ""))
            attributes = tag.attributes
        outer = self._views[-1]
        view = tag.view_within(outer, self.sheet, self._path)
        if view.is_ground_lost:
            attributes = view.readable(name, attributes, outer)
        if name in _VOID:
            if not view.is_gone:
                self.pieces.append(f"<{name}{tag.written(attributes, self.base)}>")
        elif len(self._open) < MAX_DEPTH and not (name in _FORMATTING and self._formatting >= _MAX_OPEN_FORMATTING):
            self._push(tag, attributes, view)

    def _imply(self, names: tuple[str, ...]) -> None:
        """Opens elements that no tag opens: style sheets speak of them, too. They are not written."""
        for name in names:
            place = None if self.places is None else self.places.add(name, self._open[-1])
            tag = Tag(name, {}, place)
            view = tag.view_within(self._views[-1], self.sheet, self._path)
            if len(self._open) < MAX_DEPTH:
                self._push(tag, {}, view, is_written=False)

    def end(self, name: str) -> None:
        """Closes an element with all that is open in it; a tag that nothing was opened for is left out."""
        for place in range(len(self._open) - 1, -1, -1):
            opened = self._open[place]
            if opened == name:
                return self._close_down_to(place)
            if opened in _TABLE and name not in _TABLE:
                return None
        return None

    def text(self, source: str) -> None:
        """Takes text between tags: references stay as they are, and nothing in it opens a tag."""
        if self.places is not None and not self.places.has_content:
            self.places.has_content = bool(source.strip())
        view = self._views[-1]
        if view is not self._judged:
            self._judged, self._is_shown = view, view.shows_text
        if self._is_shown:
            self.pieces.append(source.replace(">", "&gt;") if ">" in source else source)
        elif not self.has_hidden_text:
            self.has_hidden_text = has_words(source)

    def leave_out(self, name: str) -> None:
        """Counts an element that is left out with its content."""
        if self.places is not None:
            self.places.add(name, self._open[-1] if self._open else "")

    def finish(self) -> str:
        """Closes what is open."""
        self._close_down_to(0)
        return "".join(self.pieces)

    def _push(self, tag: Tag, attributes: dict[str, str], view: View, *, is_written: bool = True) -> None:
        name = written = tag.name
        if name in _PAGES:  # a fragment has no page: its looks go to a block of their own
            attributes = page_attributes(attributes)
            written = "div" if attributes else ""
        elif name in _BLOCKS or (
            name in _SECTIONS and not self._tables
        ):  # parsers drop what belongs in a table, with its looks
            written = "div"
        if self.places is not None:
            self.places.open()
        self._open.append(name)
        self._path.append(tag)
        self._written.append("" if view.is_gone or not is_written else written)
        self._views.append(view)
        self._formatting += name in _FORMATTING
        self._tables += name == "table"
        if self._written[-1]:
            self.pieces.append(f"<{written}{tag.written(attributes, self.base)}>")

    def _close_implied(self, names: frozenset[str]) -> None:
        for place in range(len(self._open) - 1, -1, -1):
            opened = self._open[place]
            if opened in names:
                return self._close_down_to(place)
            if opened not in _INLINE:
                return None
        return None

    def _close_down_to(self, place: int) -> None:
        while len(self._open) > place:
            name, written = self._open.pop(), self._written.pop()
            self._views.pop()
            self._path.pop()
            if self.places is not None:
                self.places.close()
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
    made = _Outline()
    if "style" in source or "STYLE" in source or "Style" in source:
        made.read_sheets(source)
        if made.sheet.has_places:
            made.places = Places(_counted(source, max_tags) if made.sheet.has_ends else None)
    position, tags = _read(source, made, max_tags)
    whole = made.finish()
    kept = whole if len(whole) <= MAX_MADE_CHARACTERS else _CUT_OFF.sub("", whole[:MAX_MADE_CHARACTERS])
    return Outlined(kept, made.has_hidden_text, position < len(source) or kept is not whole, tags)


def _counted(source: str, max_tags: int) -> Places:
    """Counts the elements without the style sheets, which ask for the counts."""
    places = Places()
    _read(source, _Outline(places), max_tags)
    return places


def _read(source: str, made: _Outline, max_tags: int) -> tuple[int, int]:
    """Reads a source; returns the place behind what was read, and the number of tags."""
    position, length, tags = 0, len(source), 0
    while position < length and tags < max_tags:
        tags += 1
        text, whole_tag, closing, name = _NEXT.match(source, position).groups()  # type: ignore[union-attr] # it fits
        if text:
            made.text(text)
            position += len(text)
        if whole_tag is None or (name := name.lower()) in _DROPPED_WITH_CONTENT:
            position = _markup(source, position, made)
            continue
        position += len(whole_tag)
        if closing:
            made.end(name)
        else:
            made.start(made.tags.get(whole_tag) or _new_tag(whole_tag, name, made))
    return position, tags


def _new_tag(source: str, name: str, made: _Outline) -> Tag:
    tag = made.tags[source] = Tag(name, read_plain_attributes(source))
    return tag


def _markup(source: str, start: int, made: _Outline) -> int:
    """Reads what begins with "<", of any form; returns the place behind it."""
    tag = _TAG.match(source, start)
    if tag is None:
        return _no_tag(source, start, made) if start < len(source) else start
    name = tag[2].lower()
    if name in _DROPPED_WITH_CONTENT and not tag[1]:
        made.leave_out(name)
        found = _CONTENT_END[name].search(source, tag.end())
        if name in _INERT and not made.has_hidden_text:
            made.has_hidden_text = has_words(
                source[tag_end(source, tag.end()) : found.start() if found else len(source)]
            )
        return tag_end(source, found.end()) if found else len(source)
    attributes, end = read_attributes(source, tag.end())
    if not is_name(name):
        return end
    if tag[1]:
        made.end(name)
    else:
        made.start(Tag(name, attributes))
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
