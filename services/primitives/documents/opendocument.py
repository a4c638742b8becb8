"""OpenDocument files (odt, ods, odp): paragraphs, tables, slides of `content.xml`, without deleted and hidden text."""

from services.primitives.documents.archive import Archive
from services.primitives.documents.extracted import ENCRYPTED, HIDDEN_TEXT, MACROS, MAX_COLUMNS, Extracted
from services.primitives.documents.styles import Styles
from services.primitives.documents.xml import Event, events

_CONTENT, _META, _MANIFEST, _STYLES = "content.xml", "meta.xml", "META-INF/manifest.xml", "styles.xml"
_FACTS = frozenset(("title", "creator", "subject", "keyword", "description", "creation-date", "date"))
_LEFT_OUT = frozenset(("tracked-changes", "scripts", "annotation-end"))
# The families of the styles of elements (ODF 1.3 part 3, `style:family`).
_FAMILIES = {"p": "paragraph", "h": "paragraph", "span": "text", "a": "text", "table": "table", "page": "drawing-page"}
# The attribute that hides, and its value, by the element of a style's properties.
_HIDING = {
    "text-properties": ("display", "none"),
    "table-properties": ("display", "false"),
    "drawing-page-properties": ("visibility", "hidden"),
}


def read_opendocument(archive: Archive, extracted: Extracted) -> None:
    """Read a text, a workbook or a presentation."""
    manifest = events(archive.chunks(_MANIFEST)) if _MANIFEST in archive else ()
    if any(event.name == "encryption-data" for event in manifest):
        extracted.flags.add(ENCRYPTED)
        return
    if any(name.startswith(("Basic/", "Scripts/")) for name in archive.names):
        extracted.flags.add(MACROS)
    name = ""
    for event in events(archive.chunks(_META)) if _META in archive else ():
        if event.kind == "text" and name in _FACTS:
            extracted.fact(name, event.name)
        name = event.name if event.kind == "begin" else ""
    reader = _Reader(extracted, _common_styles(archive))
    for event in events(archive.chunks(_CONTENT)):
        reader.take(event)
        if extracted.is_full:
            extracted.answer.is_text_cut = True
            return


class _StyleReader:
    """Collects the styles that hide, as their elements come."""

    def __init__(self) -> None:
        self.styles = Styles()
        self._family, self._name = "", ""

    def take(self, event: Event) -> None:
        """Take the begin of an element."""
        if event.name in ("style", "default-style"):
            self._family, self._name = event.get("family"), event.get("name")
            self.styles.add(self._family, self._name, event.get("parent-style-name") if self._name else None)
        elif self._family and event.name in _HIDING:
            attribute, value = _HIDING[event.name]
            if found := event.get(attribute):
                self.styles.hide(self._family, self._name, is_hidden=found == value)


def _common_styles(archive: Archive) -> _StyleReader:
    """Read the styles with names of their own. The automatic ones beside them are for headers and footers alone."""
    reader, is_common = _StyleReader(), False
    for event in events(archive.chunks(_STYLES)) if _STYLES in archive else ():
        if event.name == "styles":
            is_common = event.kind == "begin"
        elif event.kind == "begin" and is_common:
            reader.take(event)
    return reader


def _is_hidden(event: Event, styles: Styles) -> bool:
    """Tell whether an element hides what is in it."""
    if event.name == "section":
        display = event.get("display")
        return display == "none" or (display == "condition" and event.get("is-hidden") == "true")
    if event.name in ("table-row", "table-row-group"):
        return event.get("visibility") in ("collapse", "filter") or event.get("display") == "false"
    return event.name in _FAMILIES and styles.hides(_FAMILIES[event.name], event.get("style-name"))


class _Reader:
    def __init__(self, extracted: Extracted, styles: _StyleReader) -> None:
        self._extracted, self._styles = extracted, styles
        self._text: list[str] = []
        self._rows: list[list[str]] = []
        # Of each open paragraph, where its text begins, and whether a field hides it.
        self._paragraphs: list[tuple[int, bool]] = []
        self._tables, self._left_out, self._is_hiding, self._repeated = 0, 0, False, 1
        self._column, self._columns, self._hidden_columns = 0, 0, bytearray()

    def take(self, event: Event) -> None:
        if self._left_out:
            self._leave_out(event)
        elif event.kind == "text":
            if self._paragraphs:
                self._text.append(event.name)
        elif event.kind == "end":
            self._end(event)
        elif event.name in _LEFT_OUT:
            self._left_out, self._is_hiding = 1, False
        elif event.name.startswith("hidden-"):
            self._begin_hidden_field(event)
        elif _is_hidden(event, self._styles.styles):
            self._left_out, self._is_hiding = 1, True
        else:
            self._styles.take(event)
            self._begin(event)

    def _leave_out(self, event: Event) -> None:
        if event.kind == "text":
            if self._is_hiding and event.name.strip():
                self._extracted.flags.add(HIDDEN_TEXT)
        else:
            self._left_out += 1 if event.kind == "begin" else -1

    def _begin_hidden_field(self, event: Event) -> None:
        """Leave out a field that is hidden, and the paragraph that a field hides."""
        self._left_out, self._is_hiding = 1, True
        if event.name == "hidden-text":
            self._extracted.flags.add(HIDDEN_TEXT)
        elif self._paragraphs and event.get("is-hidden") == "true":
            self._paragraphs[-1] = (self._paragraphs[-1][0], True)

    def _begin(self, event: Event) -> None:
        if event.name in ("p", "h"):
            self._paragraphs.append((len(self._text), False))
        elif event.name == "s":
            self._text.append(" ")
        elif event.name in ("tab", "line-break"):
            self._text.append("\t" if event.name == "tab" else "\n")
        elif event.name == "table":
            self._tables += 1
            if self._tables == 1:
                self._columns, self._hidden_columns = 0, bytearray(MAX_COLUMNS)
        elif event.name == "table-row" and self._tables == 1:
            self._rows.append([])
            self._column = 0
        elif event.name in ("table-cell", "covered-table-cell", "table-column") and self._tables == 1:
            self._begin_columns(event)

    def _begin_columns(self, event: Event) -> None:
        count = event.get("number-columns-repeated")
        repeated = min(int(count), MAX_COLUMNS) if count.isdecimal() and len(count) < 9 else 1  # noqa: PLR2004
        if event.name == "table-cell":
            self._repeated = repeated
        elif event.name == "covered-table-cell":
            self._column += repeated
        else:
            end = min(self._columns + repeated, MAX_COLUMNS)
            if event.get("visibility") in ("collapse", "filter"):
                self._hidden_columns[self._columns : end] = b"\1" * (end - self._columns)
            self._columns = end

    def _end(self, event: Event) -> None:
        if event.name in ("p", "h"):
            self._end_paragraph()
            if self._tables:
                self._text.append("\n")
            elif not self._paragraphs:
                self._extracted.line("".join(self._text))
                self._text = []
        elif event.name == "table-cell" and self._tables == 1 and self._rows:
            self._end_cell()
        elif event.name == "table-row" and self._tables == 1 and self._rows:
            self._end_row()
        elif event.name == "table":
            self._tables -= 1
            if not self._tables:
                self._extracted.table([row for row in self._rows if row])
                self._rows = []

    def _end_paragraph(self) -> None:
        start, is_hidden = self._paragraphs.pop()
        if is_hidden:
            if any(text.strip() for text in self._text[start:]):
                self._extracted.flags.add(HIDDEN_TEXT)
            del self._text[start:]

    def _end_cell(self) -> None:
        row, cell = self._rows[-1], "".join(self._text).strip()
        # Empty cells are repeated up to the edge of the sheet.
        for _ in range(min(self._repeated, MAX_COLUMNS - len(row))):
            is_hidden = self._column < MAX_COLUMNS and self._hidden_columns[self._column]
            if is_hidden and cell:
                self._extracted.flags.add(HIDDEN_TEXT)
            row.append("" if is_hidden else cell)
            self._column += 1
        self._text, self._repeated = [], 1

    def _end_row(self) -> None:
        row = self._rows[-1]
        while row and not row[-1]:
            row.pop()
        if row:
            self._extracted.line("\t".join(row))
        else:
            self._rows.pop()
