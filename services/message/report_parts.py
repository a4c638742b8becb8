"""The parts of a report in MIME: split by its boundary in one pass, without recursion, within bounds."""

import binascii
import quopri
from collections.abc import Iterator
from dataclasses import dataclass

from services.message.headers import Headers

MAX_REPORT_BYTES = 256 * 1024
"""The size that is read of a report: its text and its status stand before the returned mail, which may be cut."""
_MAX_PARTS = 20
_MAX_LINES = 200
_MAX_DEPTH = 2
_MAX_HEAD_CHARACTERS = 64 * 1024


@dataclass(frozen=True)
class ReportPart:
    """A part of a report.

    Args:
        media_type: Its media type in lower case, without parameters; "text/plain" when it names none.
        content: Its decoded content.
    """

    media_type: str
    content: str


@dataclass(frozen=True)
class Report:
    """A mail that may be a report.

    Args:
        headers: Its own header fields.
        parts: Its parts; the mail itself when it has no others. A multipart within it is looked into once.
    """

    headers: Headers
    parts: tuple[ReportPart, ...]


def split(raw: bytes) -> Report:
    """Split a mail into its parts. It ends in one pass and raises nothing, for any bytes.

    Args:
        raw: The mail in MIME; only its first 256 KiB are read.
    """
    text = raw[:MAX_REPORT_BYTES].decode("utf-8", "replace").replace("\r\n", "\n")
    headers, body = read_head(text)
    return Report(headers, tuple(_parts(headers, body, depth=0))[:_MAX_PARTS])


def read_head(text: str) -> tuple[Headers, str]:
    """Read header fields up to the first empty line; return them and what follows."""
    head, _, body = text.partition("\n\n") if not text.startswith("\n") else ("", "", text[1:])
    return Headers(fields_of(head[:_MAX_HEAD_CHARACTERS])), body


def fields_of(head: str) -> list[dict[str, str]]:
    """Read lines of header fields, at most 200; a line without a name is skipped."""
    found: list[dict[str, str]] = []
    for line in head.split("\n", _MAX_LINES)[:_MAX_LINES]:
        if line[:1] in (" ", "\t") and found:
            found[-1]["value"] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        if colon and name.strip():
            found.append({"name": name.strip(), "value": value.strip()})
    return found


def _parts(headers: Headers, body: str, depth: int) -> Iterator[ReportPart]:
    content_type = headers.value("Content-Type")
    boundary = content_type.parameters.get("boundary", "")
    if not (content_type.main.startswith("multipart/") and boundary and depth < _MAX_DEPTH):
        yield ReportPart(content_type.main or "text/plain", _decoded(headers, body))
        return
    for piece in f"\n{body}".split(f"\n--{boundary}", _MAX_PARTS + 1)[1 : _MAX_PARTS + 1]:
        if piece.startswith("--"):
            return
        yield from _parts(*read_head(piece.partition("\n")[2]), depth=depth + 1)


def _decoded(headers: Headers, body: str) -> str:
    encoding = headers.word("Content-Transfer-Encoding")
    if encoding == "quoted-printable":
        return quopri.decodestring(body.encode()).decode("utf-8", "replace").replace("\r\n", "\n")
    if encoding != "base64":
        return body
    plain = "".join(body.split()).encode("ascii", "ignore")  # other characters are none of base64
    try:
        data = binascii.a2b_base64(plain[: len(plain) // 4 * 4])
    except binascii.Error:
        return body
    return data.decode("utf-8", "replace").replace("\r\n", "\n")
