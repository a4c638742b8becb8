"""HTML of any shape to HTML of bounded shape: well nested, not deep, attributes in quotes.

Parsers that follow the standard take time and memory that grow with the square of their input when thousands of
elements are nested or left open (64 KiB of `<font>` and `<p>` took ours 6 s, another 20 s). Here each character is
looked at once and elements are opened and closed by a simpler rule, so that what the sanitizer gets is harmless to it.
Nothing here decides what is safe to show: the sanitizer does, on what comes out.
"""

import html
import re

MAX_DEPTH = 200
_MAX_OPEN_FORMATTING = 32
_MAX_ATTRIBUTES = 32

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
_ATTRIBUTE = re.compile(r"[\s/]*+([^\s=>/][^\s=>/]*+)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>]*+)))?")
_TAG_END = re.compile(r"[^>]*+>")
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_CONTENT_END = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _DROPPED_WITH_CONTENT}


class _Outline:
    """What is open while the input is read."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._open: list[str] = []
        self._formatting = 0

    def start(self, name: str, attributes: str) -> None:
        """Opens an element, unless too much is open."""
        if name not in _INLINE and name not in _VOID:
            self._close_implied(_PARAGRAPH)
        self._close_implied(_CLOSES.get(name, frozenset()))
        if name in _VOID:
            self.pieces.append(f"<{name}{attributes}>")
        elif len(self._open) < MAX_DEPTH and not (name in _FORMATTING and self._formatting >= _MAX_OPEN_FORMATTING):
            self._open.append(name)
            self._formatting += name in _FORMATTING
            self.pieces.append(f"<{name}{attributes}>")

    def end(self, name: str) -> None:
        """Closes an element with all that is open in it; a tag that nothing was opened for is left out."""
        for place in range(len(self._open) - 1, -1, -1):
            if self._open[place] == name:
                return self._close_down_to(place)
            if self._open[place] in _TABLE and name not in _TABLE:
                return None
        return None

    def finish(self) -> str:
        """Closes what is open."""
        self._close_down_to(0)
        return "".join(self.pieces)

    def _close_implied(self, names: frozenset[str]) -> None:
        for place in range(len(self._open) - 1, -1, -1):
            if self._open[place] in names:
                return self._close_down_to(place)
            if self._open[place] not in _INLINE:
                return None
        return None

    def _close_down_to(self, place: int) -> None:
        while len(self._open) > place:
            name = self._open.pop()
            self._formatting -= name in _FORMATTING
            self.pieces.append(f"</{name}>")


def outline(source: str) -> str:
    """Makes HTML well nested and not deep; scripts, styles and what only draws are left out with their content.

    Args:
        source: Anything. Time and memory grow with its length, not faster.
    """
    made, position, length = _Outline(), 0, len(source)
    while position < length:
        tag_start = source.find("<", position)
        if tag_start < 0:
            made.pieces.append(_text(source[position:]))
            break
        made.pieces.append(_text(source[position:tag_start]))
        position = _markup(source, tag_start, made)
    return made.finish()


def _markup(source: str, start: int, made: _Outline) -> int:
    """Reads what begins with "<"; returns the place behind it."""
    tag = _TAG.match(source, start)
    if tag is None:
        return _no_tag(source, start, made)
    name = tag[2].lower()
    if name in _DROPPED_WITH_CONTENT and not tag[1]:
        found = _CONTENT_END[name].search(source, tag.end())
        return _tag_end(source, found.end()) if found else len(source)
    attributes, end = _attributes(source, tag.end())
    if not _NAME.fullmatch(name):
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
        return _tag_end(source, start + 2)
    made.pieces.append("&lt;")
    return start + 1


def _attributes(source: str, position: int) -> tuple[str, int]:
    """Reads the attributes of a tag; returns them quoted anew, and the place behind the tag."""
    made: list[str] = []
    while attribute := _ATTRIBUTE.match(source, position):
        position = attribute.end()
        value = attribute[2] or attribute[3] or attribute[4] or ""
        if len(made) < _MAX_ATTRIBUTES and _NAME.fullmatch(name := attribute[1].lower()):
            made.append(f' {name}="{html.escape(html.unescape(value))}"')
    return "".join(made), _tag_end(source, position)


def _tag_end(source: str, position: int) -> int:
    end = _TAG_END.match(source, position)
    return end.end() if end else len(source)


def _text(source: str) -> str:
    """Text for between tags: references stay as they are, and nothing in it opens a tag."""
    return source.replace(">", "&gt;")
