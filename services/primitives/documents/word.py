"""Word documents (docx): text with insertions and without deletions, tables, headers, footers, notes, comments."""

from collections.abc import Iterator

from services.primitives.documents.archive import Archive
from services.primitives.documents.extracted import HIDDEN_TEXT, Extracted
from services.primitives.documents.office import read_facts
from services.primitives.documents.xml import Event, events

MAIN = "word/document.xml"
# In the order in which a person reads them.
_BEFORE, _AFTER = ("word/header",), ("word/footer", "word/footnotes", "word/endnotes", "word/comments")
_OFF = ("0", "false", "off")


def read_word(archive: Archive, extracted: Extracted) -> None:
    """Read a document."""
    read_facts(archive, extracted)
    parts = sorted(name for name in archive.names if name.endswith(".xml"))
    before = [name for name in parts if name.startswith(_BEFORE)]
    after = [name for prefix in _AFTER for name in parts if name.startswith(prefix)]
    for name in (*before, MAIN, *after):
        _Story(extracted).read(events(archive.chunks(name)))


class _Story:
    """One flow of paragraphs and tables."""

    def __init__(self, extracted: Extracted) -> None:
        self._extracted = extracted
        self._text: list[str] = []
        self._run: list[str] = []
        self._is_hidden = False
        self._rows: list[list[str]] = []
        self._tables = 0
        self._skipped = 0

    def read(self, story: Iterator[Event]) -> None:
        is_text = False
        for event in story:
            if self._extracted.is_full:
                self._extracted.answer.is_text_cut = True
                return
            # The same text again, for old programs.
            if event.name == "Fallback" and event.kind != "text":
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
            self._run, self._is_hidden = [], False
        elif event.name == "vanish" and event.get("val") not in _OFF:
            self._is_hidden = True
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

    def _end_run(self) -> None:
        if self._is_hidden and any(text.strip() for text in self._run):
            self._extracted.flags.add(HIDDEN_TEXT)
        elif not self._is_hidden:
            self._text += self._run
        self._run, self._is_hidden = [], False

    def _end_table(self) -> None:
        self._tables -= 1
        if not self._tables:
            self._extracted.table(self._rows)
            self._rows, self._text = [], []
