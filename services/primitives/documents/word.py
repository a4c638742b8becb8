"""Word documents (docx): text with insertions and without deletions, tables, headers, footers, notes, comments."""

from collections.abc import Iterator

from services.primitives.documents.archive import Archive
from services.primitives.documents.extracted import HIDDEN_TEXT, Extracted
from services.primitives.documents.office import read_facts, relations
from services.primitives.documents.styles import Styles
from services.primitives.documents.xml import Event, events

MAIN = "word/document.xml"
# In the order in which a person reads them.
_BEFORE, _AFTER = ("word/header",), ("word/footer", "word/footnotes", "word/endnotes", "word/comments")
_OFF = ("0", "false", "off")
# The same text again for old programs, text at the place that it was moved from, properties before a change.
_SKIPPED = frozenset(("Fallback", "moveFrom", "rPrChange", "pPrChange"))


def read_word(archive: Archive, extracted: Extracted) -> None:
    """Read a document."""
    read_facts(archive, extracted)
    styles = _styles(archive)
    parts = sorted(name for name in archive.names if name.endswith(".xml"))
    before = [name for name in parts if name.startswith(_BEFORE)]
    after = [name for prefix in _AFTER for name in parts if name.startswith(prefix)]
    for name in (*before, MAIN, *after):
        _Story(extracted, styles).read(events(archive.chunks(name)))


def _styles(archive: Archive) -> Styles:
    places = [place for kind, place in relations(archive, MAIN).values() if kind == "styles"]
    styles = Styles()
    kind, name = "", ""
    for event in events(archive.chunks(places[0])) if places and places[0] in archive else ():
        if event.kind != "begin":
            continue
        if event.name == "style":
            kind, name = event.get("type"), event.get("styleId")
            styles.add(kind, name, None)
            if event.get("default") and event.get("default") not in _OFF:
                styles.add(kind, "", name)
        elif event.name == "basedOn":
            styles.add(kind, name, event.get("val"))
        elif event.name == "vanish" and name:
            styles.hide(kind, name, is_hidden=event.get("val") not in _OFF)
    return styles


class _Story:
    """One flow of paragraphs and tables."""

    def __init__(self, extracted: Extracted, styles: Styles) -> None:
        self._extracted, self._styles = extracted, styles
        self._text: list[str] = []
        self._run: list[str] = []
        self._run_style = ""
        self._paragraph_styles: list[str] = []
        self._vanish: bool | None = None
        self._rows: list[list[str]] = []
        self._tables = 0
        self._skipped = 0

    def read(self, story: Iterator[Event]) -> None:
        is_text = False
        for event in story:
            if self._extracted.is_full:
                self._extracted.answer.is_text_cut = True
                return
            if event.kind != "text" and event.name in _SKIPPED:
                self._skipped += 1 if event.kind == "begin" else -1
            elif self._skipped:
                continue
            elif event.kind == "text":
                if is_text:
                    self._run.append(event.name)
            else:
                is_text = event.kind == "begin" and event.name == "t"
                (self._begin if event.kind == "begin" else self._end)(event)

    def _begin(self, event: Event) -> None:
        if event.name == "r":
            self._begin_run()
        elif event.name == "p":
            self._paragraph_styles.append("")
        elif event.name == "pStyle" and self._paragraph_styles:
            self._paragraph_styles[-1] = event.get("val")
        elif event.name == "rStyle":
            self._run_style = event.get("val")
        elif event.name == "vanish":
            self._vanish = event.get("val") not in _OFF
        elif event.name in ("br", "cr"):
            self._run.append("\n")
        elif event.name == "tab":
            self._run.append("\t")
        elif event.name == "tbl":
            self._tables += 1
        elif event.name == "tr" and self._tables == 1:
            self._rows.append([])

    def _end(self, event: Event) -> None:
        if event.name == "r":
            self._end_run()
        elif event.name == "p":
            self._paragraph_styles.pop()
            self._text.append("\n")
            if not self._tables:
                self._extracted.line("".join(self._text[:-1]))
                self._text = []
        elif self._tables == 1 and event.name == "tc" and self._rows:
            self._rows[-1].append("".join(self._text).strip())
            self._text = []
        elif event.name == "tr" and self._tables == 1 and self._rows:
            self._extracted.line("\t".join(self._rows[-1]))
        elif event.name == "tbl":
            self._end_table()

    def _begin_run(self) -> None:
        self._run, self._run_style, self._vanish = [], "", None

    def _end_run(self) -> None:
        if not self._is_hidden():
            self._text += self._run
        elif any(text.strip() for text in self._run):
            self._extracted.flags.add(HIDDEN_TEXT)
        self._begin_run()

    def _is_hidden(self) -> bool:
        """Tell whether a run is hidden: by itself, or by one of its two styles (ECMA-376 part 1, 17.7.3)."""
        if self._vanish is not None:
            return self._vanish
        paragraph_style = self._paragraph_styles[-1] if self._paragraph_styles else ""
        by_paragraph = self._styles.hides("paragraph", paragraph_style)
        return self._styles.hides("character", self._run_style) != by_paragraph

    def _end_table(self) -> None:
        self._tables -= 1
        if not self._tables:
            self._extracted.table(self._rows)
            self._rows, self._text = [], []
