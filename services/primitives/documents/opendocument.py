"""OpenDocument files (odt, ods, odp): paragraphs, tables and slides of `content.xml`, without deleted text."""

from services.primitives.documents.archive import Archive
from services.primitives.documents.extracted import ENCRYPTED, HIDDEN_TEXT, MACROS, MAX_COLUMNS, Extracted
from services.primitives.documents.xml import Event, events

_CONTENT, _META, _MANIFEST = "content.xml", "meta.xml", "META-INF/manifest.xml"
_FACTS = frozenset(("title", "creator", "subject", "keyword", "description", "creation-date", "date"))
_LEFT_OUT = frozenset(("tracked-changes", "scripts", "annotation-end", "hidden-text", "hidden-paragraph"))


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
    reader = _Reader(extracted)
    for event in events(archive.chunks(_CONTENT)):
        reader.take(event)
        if extracted.is_full:
            extracted.answer.is_text_cut = True
            return


class _Reader:
    def __init__(self, extracted: Extracted) -> None:
        self._extracted = extracted
        self._text: list[str] = []
        self._rows: list[list[str]] = []
        self._tables, self._paragraphs, self._left_out, self._repeated = 0, 0, 0, 1

    def take(self, event: Event) -> None:
        if event.name in _LEFT_OUT and event.kind != "text":
            self._left_out += 1 if event.kind == "begin" else -1
            if event.name.startswith("hidden"):
                self._extracted.flags.add(HIDDEN_TEXT)
        elif self._left_out:
            return
        elif event.kind == "text":
            if self._paragraphs:
                self._text.append(event.name)
        elif event.kind == "begin":
            self._begin(event)
        else:
            self._end(event)

    def _begin(self, event: Event) -> None:
        if event.name in ("p", "h"):
            self._paragraphs += 1
        elif event.name == "s":
            self._text.append(" ")
        elif event.name in ("tab", "line-break"):
            self._text.append("\t" if event.name == "tab" else "\n")
        elif event.name == "table":
            self._tables += 1
        elif event.name == "table-row" and self._tables == 1:
            self._rows.append([])
        elif event.name == "table-cell" and self._tables == 1:
            count = event.get("number-columns-repeated")
            self._repeated = min(int(count), MAX_COLUMNS) if count.isdecimal() and len(count) < 9 else 1  # noqa: PLR2004

    def _end(self, event: Event) -> None:
        if event.name in ("p", "h"):
            self._paragraphs = max(0, self._paragraphs - 1)
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

    def _end_cell(self) -> None:
        row, cell = self._rows[-1], "".join(self._text).strip()
        # Empty cells are repeated up to the edge of the sheet.
        row += [cell] * min(self._repeated, MAX_COLUMNS - len(row))
        self._text, self._repeated = [], 1

    def _end_row(self) -> None:
        row = self._rows[-1]
        while row and not row[-1]:
            row.pop()
        if row:
            self._extracted.line("\t".join(row))
        else:
            self._rows.pop()
