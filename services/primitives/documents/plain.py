"""Files that are text: plain text, tables with separators, HTML, RTF, calendars, cards."""

import csv
import io
import re
from collections.abc import Callable
from importlib.util import find_spec

from services.message.bodies import Part, lines_of, make_body
from services.message.bounds import Cuts
from services.message.charsets import decode_bytes
from services.primitives.documents.extracted import EMBEDDED_FILES, HIDDEN_TEXT, MAX_TEXT, Extracted
from services.primitives.failure import ContentError

_MAX_BYTES = 4 * MAX_TEXT
_SEPARATORS = ",;\t|"
_ESCAPES = re.compile(r"\\([nN,;\\])")
_FOLD = re.compile(r"\n[ \t]")
_PROPERTY = re.compile(r"([A-Za-z0-9-]{1,100}\.)?([A-Za-z0-9-]{1,100})(;[^:\n]{0,2000})?:(.*)")
_CHARSET = re.compile(rb"""charset\s*=\s*["']?([A-Za-z0-9_-]{1,40})""", re.IGNORECASE)


def text_of(content: bytes, extracted: Extracted, charset: str = "") -> str:
    """Return the text of a file, as much of it as is used."""
    extracted.answer.is_text_cut |= len(content) > _MAX_BYTES
    return lines_of(decode_bytes(content[:_MAX_BYTES], charset))


def read_text(content: bytes, extracted: Extracted) -> None:
    """Read plain text."""
    extracted.lines(text_of(content, extracted))


def read_table(content: bytes, extracted: Extracted) -> None:
    """Read a table with separators, of which the first line has the most of one kind."""
    text = text_of(content, extracted)
    extracted.lines(text)
    first = text[: text.find("\n") if "\n" in text else len(text)]
    separator = max(_SEPARATORS, key=first.count)
    rows: list[list[str]] = []
    try:
        rows.extend(row for row in csv.reader(io.StringIO(text), delimiter=separator) if row)
    except csv.Error:  # a quote that nothing closes; the text has all of it
        extracted.answer.are_tables_cut = True
    extracted.table(rows)


def read_html(content: bytes, extracted: Extracted) -> None:
    """Read HTML as mails are read: text that no reader is shown is left out."""
    found = _CHARSET.search(content[:4096])
    cuts = Cuts()
    source = text_of(content, extracted, found[1].decode() if found else "")
    body = make_body([Part(html=source)], cuts)
    extracted.lines(body.text)
    extracted.answer.is_text_cut |= cuts.is_text_cut
    if body.has_hidden_text:
        extracted.flags.add(HIDDEN_TEXT)


def read_rtf(content: bytes, extracted: Extracted) -> None:
    """Read RTF.

    Raises:
        ContentError: The reader is not installed.
    """
    if find_spec("striprtf") is None:
        raise ContentError("reader_missing")
    from striprtf.striprtf import rtf_to_text  # noqa: PLC0415 - an extra

    from services.primitives.documents.rtf import without_hidden  # noqa: PLC0415 - it needs the extra

    if b"\\objdata" in content:
        extracted.flags.add(EMBEDDED_FILES)
    extracted.answer.is_text_cut |= len(content) > _MAX_BYTES
    to_text: Callable[..., str] = rtf_to_text
    source, has_hidden = without_hidden(content[:_MAX_BYTES].decode("latin-1"))
    if has_hidden:
        extracted.flags.add(HIDDEN_TEXT)
    extracted.lines(to_text(source, errors="replace"))


def read_properties(content: bytes, extracted: Extracted) -> None:
    """Read a calendar or cards: a property on each line, unfolded (RFC 5545 3.1), without parameters."""
    for line in _FOLD.sub("", text_of(content, extracted)).split("\n"):
        if found := _PROPERTY.fullmatch(line):
            value = _ESCAPES.sub(lambda escape: "\n" if escape[1] in "nN" else escape[1], found[4])
            extracted.line(f"{found[2].upper()}: {value}")
