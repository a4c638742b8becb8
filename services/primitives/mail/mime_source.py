"""Raw MIME into the tree of parts that `services.message.mime` reads: linear, bounded, and never an exception.

The tree has the form of Gmail's `payload`, so that one mapping serves mails of providers and mails of callers.
"""

import base64
import binascii
import re
import string
from collections.abc import Iterator
from typing import Any

from services.message.charsets import decode_bytes
from services.message.syntax import parse_value

JSON = dict[str, Any]
MAX_DEPTH = 50
MAX_PARTS = 1000
MAX_HEADER_BYTES = 256 * 1024
"""Header that is read of a mail, and of each part."""
MAX_TEXT_BYTES = 4 * 1024 * 1024
"""The longest text that is handed on. It is above the mapping's own bounds, which say that a text is cut."""
_MAX_LINE = 1000
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"([!-9;-~]{1,998})[ \t]*:[ \t]?(.*)", re.DOTALL)
_LINE_END = re.compile(rb"\r?\n(?![ \t])")
_PADDED_BREAK = re.compile(rb"=[ \t]++(?=\r?\n)")
"""A soft line break behind which a relay put white space, which a reader deletes (RFC 2045 6.7, rule 3)."""
_DIGITS = (string.ascii_letters + string.digits + "+/").encode()
_NO_DIGITS = bytes(sorted(set(range(256)) - set(_DIGITS)))
_BETWEEN_DIGITS = b"= \t\n\r\f\v"
_PLAIN_ENCODINGS = frozenset(("", "7bit", "8bit", "binary"))
_QUOTED = "quoted-printable"


class MimeSource:
    """A mail in MIME.

    Args:
        data: The bytes of the mail.
        keeps_files: Keep the content of the parts that are no multipart, decoded, by their ids.
    """

    def __init__(self, data: bytes, *, keeps_files: bool = False) -> None:
        self.faults: set[str] = set()
        self.files: dict[str, bytes] = {}
        self.size = len(data)
        self._keeps_files = keeps_files
        self._data = data if b"\n" in data else data.replace(b"\r", b"\n")
        self._parts = 0

    def payload(self) -> JSON:
        """Return the tree of parts."""
        start = 0
        if self._data.startswith((b"From ", b">From ")):  # the line of a mailbox file before the mail
            start = self._data.find(b"\n") + 1
        if self._data.startswith(b"\xef\xbb\xbf"):
            start = 3
        payload = self._part(start, len(self._data), "", 0, "text/plain")
        if not payload["headers"]:
            self.faults.add("header_missing")
        return payload

    def _part(self, start: int, end: int, place: str, depth: int, usual_type: str) -> JSON:
        self._parts += 1
        fields, body = self._headers(start, end)
        values = {name.lower(): value for name, value in reversed(fields)}
        content = parse_value(values.get("content-type", ""))
        media_type = content.main if "/" in content.main else usual_type
        part: JSON = {
            "partId": place,
            "mimeType": media_type,
            "headers": [{"name": name, "value": value} for name, value in fields],
        }
        if media_type.startswith("multipart/"):
            boundary = content.parameters.get("boundary", "")
            usual = "message/rfc822" if media_type == "multipart/digest" else "text/plain"
            part["parts"] = self._inner(body, end, boundary, place, depth, usual)
            if part["parts"]:
                return part
            self.faults.add("boundary_missing")
            # Without parts the text is still there to be read.
            part["mimeType"] = "text/plain"
            del part["parts"]
        encoding = parse_value(values.get("content-transfer-encoding", "")).main
        if encoding == "base64" and not self._keeps_files and not part["mimeType"].startswith("text/"):
            part["body"] = {"size": self._base64_size(self._data[body:end])[1]}
            return part
        data = self._decoded(body, end, encoding)
        if self._keeps_files:
            self.files[place or "root"] = data
        part["body"] = self._body(data, part["mimeType"])
        return part

    def _headers(self, start: int, end: int) -> tuple[list[tuple[str, str]], int]:
        """Read the header fields; return them with the position of the body."""
        if self._data.startswith((b"\n", b"\r\n"), start, end):  # no header fields
            return [], self._data.index(b"\n", start) + 1
        blank = _BLANK_LINE.search(self._data, start, end)
        head_end, body = (blank.start(), blank.end()) if blank else (end, end)
        if head_end - start > MAX_HEADER_BYTES:
            self.faults.add("header_too_long")
        block = self._data[start : min(head_end, start + MAX_HEADER_BYTES)]
        return list(self._fields(block)), body

    def _fields(self, block: bytes) -> Iterator[tuple[str, str]]:
        for line in _LINE_END.split(block):
            found = _FIELD.fullmatch(line)
            if found:
                yield found[1].decode("ascii"), decode_bytes(found[2].rstrip(b"\r\n"), "")
            elif line.strip():
                self.faults.add("header_malformed")

    def _inner(self, start: int, end: int, boundary: str, place: str, depth: int, usual: str) -> list[JSON]:
        if not boundary:
            return []
        if depth >= MAX_DEPTH:
            self.faults.add("too_deep")
            return []
        parts: list[JSON] = []
        for part_start, part_end in self._between(start, end, boundary):
            if self._parts >= MAX_PARTS:
                self.faults.add("too_many_parts")
                break
            name = f"{place}.{len(parts)}" if place else str(len(parts))
            parts.append(self._part(part_start, part_end, name, depth + 1, usual))
        return parts

    def _between(self, start: int, end: int, boundary: str) -> Iterator[tuple[int, int]]:
        """Yield where the parts of a multipart begin and end (RFC 2046 5.1.1)."""
        mark, begun, position = b"--" + boundary.encode("utf-8", "replace"), -1, start
        while (position := self._data.find(mark, position, end)) >= 0:
            behind = position + len(mark)
            # The end of a line is looked for at the beginning of a line only: a long line of marks stays linear.
            if position == start or self._data[position - 1 : position] == b"\n":
                is_last, next_line = self._data.startswith(b"--", behind), self._line_after(behind, end)
                # The boundary of an inner multipart may continue this one, with `--` as well.
                rest = behind + 2 if is_last else behind
                if not self._data[rest : min(next_line, behind + _MAX_LINE)].strip():
                    if begun >= 0:
                        yield begun, self._before_line_end(position, begun)
                    if is_last:
                        return
                    begun = next_line
            position = behind
        if begun >= 0:
            self.faults.add("multipart_unclosed")
            yield begun, end

    def _line_after(self, position: int, end: int) -> int:
        found = self._data.find(b"\n", position, end)
        return end if found < 0 else found + 1

    def _before_line_end(self, position: int, least: int) -> int:
        """The line end before a boundary belongs to the boundary."""
        for line_end in (b"\r\n", b"\n"):
            if self._data.endswith(line_end, least, position):
                return position - len(line_end)
        return position

    def _body(self, data: bytes, media_type: str) -> JSON:
        body: JSON = {"size": len(data)}
        if media_type.startswith("text/"):
            body["data"] = base64.urlsafe_b64encode(data[:MAX_TEXT_BYTES]).decode("ascii")
        return body

    def _decoded(self, start: int, end: int, encoding: str) -> bytes:
        encoded = self._data[start:end]
        if encoding == "base64":
            return self._base64(encoded)
        if encoding == _QUOTED:
            return binascii.a2b_qp(_PADDED_BREAK.sub(b"=", encoded))
        if encoding not in _PLAIN_ENCODINGS:
            self.faults.add("encoding_unknown")
        return encoded

    def _base64(self, encoded: bytes) -> bytes:
        count, _ = self._base64_size(encoded)
        digits = encoded.translate(None, _NO_DIGITS)[:count]
        return binascii.a2b_base64(digits + b"=" * (-count % 4))

    def _base64_size(self, encoded: bytes) -> tuple[int, int]:
        """Return the number of digits that can be decoded, and of the bytes that they make, in one pass."""
        rest = encoded.translate(None, _DIGITS)
        count = len(encoded) - len(rest)
        if (
            rest.translate(None, _BETWEEN_DIGITS)
            or count % 4 == 1
            or (count % 4 and not encoded.rstrip().endswith(b"="))
        ):
            self.faults.add("encoding_malformed")
        whole = count - (count % 4 == 1)
        return whole, whole * 3 // 4
