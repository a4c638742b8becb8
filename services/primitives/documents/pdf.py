"""PDF: the text within the box of each page, values of forms, facts. PDFium reads; pypdf reads the forms alone."""

import io
import re
from importlib.util import find_spec
from typing import Any

from services.primitives.documents.extracted import (
    EMBEDDED_FILES,
    ENCRYPTED,
    MAX_PAGES,
    NO_TEXT,
    SCRIPTS,
    Extracted,
)
from services.primitives.failure import ContentError

_FORM = re.compile(rb"/AcroForm\b")
_SCRIPT = re.compile(rb"/JavaScript\b|/JS\b")
_MAX_FIELDS = 1_000


def read_pdf(content: bytes, extracted: Extracted) -> None:
    """Read a document.

    Raises:
        ContentError: It is damaged, or PDFium is not installed.
    """
    if find_spec("pypdfium2") is None:
        raise ContentError("reader_missing")
    import pypdfium2  # noqa: PLC0415 - an extra

    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as exc:
        if "password" not in str(exc).lower():
            raise ContentError("malformed") from exc
        extracted.flags.add(ENCRYPTED)
        return
    _read_facts(document, content, extracted)
    _read_pages(document, extracted)
    if _FORM.search(content):
        _read_form(content, extracted)
    if not extracted.length:
        extracted.flags.add(NO_TEXT)


def _read_facts(document: Any, content: bytes, extracted: Extracted) -> None:
    for name, value in document.get_metadata_dict(skip_empty=True).items():
        extracted.fact(name, value)
    if document.count_attachments():
        extracted.flags.add(EMBEDDED_FILES)
    if _SCRIPT.search(content):
        extracted.flags.add(SCRIPTS)


def _read_pages(document: Any, extracted: Extracted) -> None:
    for number in range(min(len(document), MAX_PAGES)):
        with extracted.page(f"page {number + 1}"):
            page = document[number]
            text = page.get_textpage()
            extracted.lines("\n".join(line.rstrip() for line in text.get_text_bounded().splitlines()))
            text.close()
            page.close()
        if extracted.is_full:
            break
    extracted.answer.is_text_cut |= len(document) > MAX_PAGES or extracted.is_full


def _read_form(content: bytes, extracted: Extracted) -> None:
    if find_spec("pypdf") is None:
        raise ContentError("reader_missing")
    import pypdf  # noqa: PLC0415 - an extra

    fields = pypdf.PdfReader(io.BytesIO(content)).get_form_text_fields()
    with extracted.page("form"):
        for name, value in list(fields.items())[:_MAX_FIELDS]:
            if value:
                extracted.line(f"{name}: {value}")
