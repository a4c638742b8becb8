"""PDF: the text within the box of each page, values of forms, facts. PDFium reads; pypdf reads the forms alone."""

import io
import re
import zlib
from importlib.util import find_spec
from typing import Any

from services.primitives.documents.extracted import (
    EMBEDDED_FILES,
    ENCRYPTED,
    FORM_UNREADABLE,
    MAX_PAGES,
    NO_TEXT,
    PAGES_UNREADABLE,
    SCRIPTS,
    Extracted,
)
from services.primitives.failure import ContentError

_SCRIPT = re.compile(rb"/JavaScript\b|/JS\b")
_OBJECTS = b"/ObjStm"
_MAX_FIELDS = 1_000
_MAX_STREAMS, _MAX_STREAM, _MAX_DICTIONARY = 200, 256 * 1024, 500


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
    if document.get_formtype() != pypdfium2.raw.FORMTYPE_NONE:
        _read_form(content, extracted)
    if not extracted.length and PAGES_UNREADABLE not in extracted.flags:
        extracted.flags.add(NO_TEXT)


def _read_facts(document: Any, content: bytes, extracted: Extracted) -> None:
    for name, value in document.get_metadata_dict(skip_empty=True).items():
        extracted.fact(name, value)
    if document.count_attachments():
        extracted.flags.add(EMBEDDED_FILES)
    import pypdfium2  # noqa: PLC0415 - an extra

    if pypdfium2.raw.FPDFDoc_GetJavaScriptActionCount(document) > 0 or _has_script(content):
        extracted.flags.add(SCRIPTS)


def _has_script(content: bytes) -> bool:
    """Tell whether an action is a script, in the bytes and in streams of objects (ISO 32000-1 7.5.7).

    PDFium counts the scripts of a document's names, and not those of its other actions.
    """
    if _SCRIPT.search(content):
        return True
    position = 0
    for _ in range(_MAX_STREAMS):
        position = content.find(_OBJECTS, position) + len(_OBJECTS)
        if position < len(_OBJECTS):
            break
        if _SCRIPT.search(_objects(content, position)):
            return True
    return False


def _objects(content: bytes, position: int) -> bytes:
    """Return the beginning of the stream of objects whose dictionary is at a position; empty if it does not inflate."""
    start = content.find(b"stream", position, position + _MAX_DICTIONARY)
    if start < 0:
        return b""
    stream = content[start + len(b"stream") : start + _MAX_STREAM].lstrip(b"\r\n")
    try:
        return zlib.decompressobj().decompress(stream, 4 * _MAX_STREAM)
    except zlib.error:  # of another filter, or encrypted
        return b""


def _read_pages(document: Any, extracted: Extracted) -> None:
    for number in range(min(len(document), MAX_PAGES)):
        with extracted.page(f"page {number + 1}"):
            _read_page(document, number, extracted)
        if extracted.is_full:
            break
    extracted.answer.is_text_cut |= len(document) > MAX_PAGES or extracted.is_full


def _read_page(document: Any, number: int, extracted: Extracted) -> None:
    """Read a page. A flag reports a damaged one, and the others are read."""
    import pypdfium2  # noqa: PLC0415 - an extra

    try:
        page = document[number]
        text = page.get_textpage()
        extracted.lines("\n".join(line.rstrip() for line in text.get_text_bounded().splitlines()))
        text.close()
        page.close()
    except pypdfium2.PdfiumError:
        extracted.flags.add(PAGES_UNREADABLE)


def _read_form(content: bytes, extracted: Extracted) -> None:
    """Read the values of a form. A flag reports a damaged one, and the pages stay."""
    if find_spec("pypdf") is None:
        raise ContentError("reader_missing")
    import pypdf  # noqa: PLC0415 - an extra

    try:
        fields = pypdf.PdfReader(io.BytesIO(content)).get_form_text_fields()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the reader raises anything; its text may quote the content
        extracted.flags.add(FORM_UNREADABLE)
        return
    with extracted.page("form"):
        for name, value in list(fields.items())[:_MAX_FIELDS]:
            if value:
                extracted.line(f"{name}: {value}")
