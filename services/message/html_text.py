"""Sanitized HTML to text: a line for each block, bullets and numbers for lists, no links and no pictures."""

import html
import re
from collections.abc import Iterator, Sequence

from services.message.numbering import Numbering, lengths, numbering

_TOKEN = re.compile(r'<(/?)([a-z][a-z0-9]*+)([^"<>]*+(?:"[^"<]*+"[^"<>]*+)*+)>|([^<]++|<)')
_BLANKS = re.compile(r"[ \t\n\f\r]+")
_MANY_BREAKS = re.compile(r"\n{3,}")
_DISPLAY = re.compile(r"display:\s*([a-z-]++)", re.IGNORECASE)
_SPACE = re.compile(r"white-space:\s*(pre|pre-wrap|pre-line|break-spaces)(?![\w-])")
_PARAGRAPHS = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6"))
_BLOCKS = frozenset(
    ["address", "article", "aside", "blockquote", "caption", "center", "dd", "details", "dir", "div", "dl", "dt",
     "figcaption", "figure", "footer", "header", "hgroup", "hr", "li", "main", "menu", "nav", "ol", "pre", "section",
     "summary", "table", "tbody", "tfoot", "thead", "tr", "ul"]
)  # fmt: skip
_CELLS = frozenset(("td", "th"))
_LISTS = frozenset(("ul", "ol", "menu", "dir"))
_STRUCTURE = _PARAGRAPHS | _BLOCKS | _CELLS | _LISTS
_VOID = frozenset(("br", "hr", "img", "wbr", "col", "area"))
_INLINE_DISPLAYS = frozenset(("inline", "inline-block", "inline-table", "inline-flex", "inline-grid", "contents"))
_SIGNATURE = "--"


class _Writer:
    """The text so far, and what the next piece of it needs before it."""

    def __init__(self, lengths_of_lists: Sequence[int] = ()) -> None:
        self.pieces: list[str] = []
        self.lists: list[Numbering | None] = []
        self.lengths = iter(lengths_of_lists)
        self.is_preformatted = 0
        self._breaks = 0
        self._mark = ""
        self._is_line_begun = self._has_blank = False

    def block(self, breaks: int) -> None:
        """Lets the next piece begin on a line of its own, after an empty line when `breaks` is two."""
        self._breaks = max(self._breaks, breaks)

    def line_break(self) -> None:
        """Ends the line, even an empty one."""
        self._end_blocks()
        self.pieces.append("\n")
        self._is_line_begun = self._has_blank = False

    def cell(self) -> None:
        """Keeps a cell apart from the one before it in its line."""
        if self._is_line_begun and not self._breaks:
            self.pieces.append("\t\t")
            self._has_blank = True

    def item(self, attributes: str) -> None:
        """Begins an item of the innermost list."""
        self.block(1)
        numbers = self.lists[-1] if self.lists else None
        mark = "• " if numbers is None else numbers.mark(attributes)
        self._mark = "  " * max(1, len(self.lists)) + mark

    def text(self, source: str) -> None:
        """Takes a run of text."""
        text = html.unescape(source) if "&" in source else source
        if self.is_preformatted:
            return self._preformatted(text)
        text = _BLANKS.sub(" ", text)
        if self._has_blank or not self._is_line_begun or self._breaks:
            text = text.lstrip(" ")
        if text:
            self._end_blocks()
            self._begin_line()
            self.pieces.append(text)
            self._has_blank = text.endswith(" ")
        return None

    def whole(self) -> str:
        """The text, without white space at line ends; a signature's separator keeps its blank (RFC 3676 4.3)."""
        lines = "".join(self.pieces).split("\n")
        text = "\n".join(trimmed(line) for line in lines)
        return _MANY_BREAKS.sub("\n\n", text).strip("\n").replace("\xa0", " ")

    def _preformatted(self, text: str) -> None:
        for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")):
            if number:
                self.line_break()
            if line:
                self._end_blocks()
                self._begin_line()
                self.pieces.append(line)
                self._has_blank = False

    def _end_blocks(self) -> None:
        """Writes the line ends that are due: none at the beginning, one fewer behind a line that has ended."""
        if self._breaks and self.pieces:
            self.pieces.append("\n" * (self._breaks if self._is_line_begun else self._breaks - 1))
            self._is_line_begun = self._has_blank = False
        self._breaks = 0

    def _begin_line(self) -> None:
        if not self._is_line_begun and self._mark:
            self.pieces.append(self._mark)
            self._mark = ""
        self._is_line_begun = True


def trimmed(line: str) -> str:
    """Takes the white space at the end of a line; the separator of a signature (RFC 3676 4.3) keeps its blank."""
    kept = line.rstrip(" \t\xa0")
    return f"{kept} " if kept.lstrip("> ") == _SIGNATURE and line != kept and line[len(kept)] in " \xa0" else kept


def to_text(fragment: str, marks: list[tuple[str, int]] | None = None) -> str:
    """Makes text of a sanitized fragment. Time grows with its length.

    Args:
        fragment: The result of `sanitize`: well nested, in lower case, attributes in quotes.
        marks: Gets, for each `wbr` element, its attributes and the number of characters before it that are not blank.
    """
    writer = _Writer(lengths(fragment))
    preformatted: list[bool] = []
    displays: list[str] = []
    for closing, name, attributes, text in _TOKEN.findall(fragment):
        if text:
            writer.text(text)
        elif name in _VOID:
            _void(writer, name)
            if name == "wbr" and marks is not None:
                marks.append((attributes, len(writer.pieces)))
        elif closing:
            display = displays.pop() if displays else ""
            writer.is_preformatted -= preformatted.pop() if preformatted else 0
            if display or name in _STRUCTURE:
                if name in _LISTS and writer.lists:
                    writer.lists.pop()
                _edge(writer, name, display)
        else:
            has_style = " style=" in attributes
            display = _display(attributes) if has_style else ""
            displays.append(display)
            if display or name in _STRUCTURE:
                _edge(writer, name, display)
                _open(writer, name, attributes)
            preformatted.append(name == "pre" or ("white-space" in attributes and bool(_SPACE.search(attributes))))
            writer.is_preformatted += preformatted[-1]
    if marks:
        marks[:] = _counted(marks, writer.pieces)
    return writer.whole()


def _void(writer: _Writer, name: str) -> None:
    if name == "br":
        writer.line_break()
    elif name == "hr":
        writer.block(1)


def _counted(marks: list[tuple[str, int]], pieces: list[str]) -> Iterator[tuple[str, int]]:
    """Replace numbers of pieces by numbers of characters that are not blank: these stay when white space is trimmed."""
    count = place = 0
    for attributes, end in marks:
        count += sum(len(word) for piece in pieces[place:end] for word in piece.split())
        place = end
        yield attributes, count


def _display(attributes: str) -> str:
    found = _DISPLAY.search(attributes) if "display" in attributes else None
    return found[1].lower() if found else ""


def _edge(writer: _Writer, name: str, display: str) -> None:
    """The beginning or the end of an element."""
    if display in _INLINE_DISPLAYS:
        return
    if name in _PARAGRAPHS:
        writer.block(2)
    elif name in _BLOCKS or (display and display != "table-cell" and name not in _CELLS):
        writer.block(1)


def _open(writer: _Writer, name: str, attributes: str) -> None:
    if name in _LISTS:
        writer.lists.append(numbering(attributes, writer.lengths) if name == "ol" else None)
    elif name == "li":
        writer.item(attributes)
    elif name in _CELLS or "table-cell" in attributes:
        writer.cell()
