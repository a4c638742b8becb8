"""The text, tables and facts of a document, within bounds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.message.fields import clean

MAX_TEXT = 1024 * 1024
"""Characters of text."""
MAX_CELLS = 50_000
MAX_CELL = 4_000
MAX_COLUMNS = 256
MAX_PAGES = 2_000
MAX_PARTS = 100
_MAX_METADATA = 50
_MAX_VALUE = 1_000
ENCRYPTED, MACROS, HIDDEN_TEXT, EXTERNAL_LINKS = "encrypted", "macros", "hidden_text", "external_links"
EMBEDDED_FILES, SCRIPTS, NO_TEXT = "embedded_files", "scripts", "no_text"
RTF_BODY_UNREAD = "rtf_body_unread"
OCR, OCR_CUT, OCR_FAILED, OCR_MISSING = "ocr", "ocr_cut", "ocr_failed", "ocr_missing"
FORM_UNREADABLE, PAGES_UNREADABLE = "form_unreadable", "pages_unreadable"


class Extracted:
    """Collects text, pages, tables, metadata and flags of a document and of the documents in it."""

    def __init__(self) -> None:
        self.flags: set[str] = set()
        self.answer = pb2.ExtractDocumentResponse()
        self.parts = 0
        self._pieces: list[str] = []
        self._cells = 0
        self.length = 0

    @property
    def is_full(self) -> bool:
        """Whether no more text is taken."""
        return self.length >= MAX_TEXT

    def line(self, text: str) -> None:
        """Add a line of text."""
        piece = clean(text) + "\n"
        if len(piece) > MAX_TEXT - self.length:
            piece = piece[: MAX_TEXT - self.length]
            self.answer.is_text_cut = True
        self._pieces.append(piece)
        self.length += len(piece)

    def lines(self, text: str) -> None:
        """Add text of several lines, without the empty ones at both of its ends."""
        if stripped := text.strip("\r\n"):
            self.line(stripped)

    @contextmanager
    def page(self, name: str) -> Iterator[None]:
        """Make what the block adds a page, a sheet or a slide."""
        start = self.length
        yield
        if len(self.answer.pages) < MAX_PAGES:
            self.answer.pages.add(name=clean(name[:200]), start=start, end=self.length)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Add a table beside the text, which has its cells too."""
        table = pb2.DocumentTable(page=len(self.answer.pages))
        for row in rows:
            self._cells += len(row)
            if self._cells > MAX_CELLS:
                self.answer.are_tables_cut = True
                break
            table.rows.add(cells=[clean(cell[:MAX_CELL]) for cell in row])
        if table.rows:
            self.answer.tables.append(table)

    def fact(self, name: str, value: str) -> None:
        """Add a fact that the document states of itself."""
        if value.strip() and len(self.answer.metadata) < _MAX_METADATA:
            self.answer.metadata[clean(name[:100])] = clean(value.strip()[:_MAX_VALUE])

    def finish(self) -> pb2.ExtractDocumentResponse:
        """Return the answer."""
        self.answer.text = "".join(self._pieces)
        self.answer.flags.extend(sorted(self.flags))
        return self.answer
