"""The common parts of structured fields: comments, quotes, parameters (RFC 5322 3.2, RFC 2045 5.1, RFC 2231)."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from services.message.charsets import decode_bytes

MAX_FIELD_CHARACTERS = 16 * 1024
"""The beginning of a field with parameters that is read; the rest is left out."""

_MARK = re.compile(r'"(?:[^"\\]|\\.)*+"|\\.|\(', re.DOTALL)
_PARENTHESIS = re.compile(r"\\.|[()]", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PARAMETER = re.compile(r';\s*+([^\s=;"]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^;"]*+))', re.DOTALL)


@dataclass(frozen=True)
class Value:
    """A field with parameters, such as Content-Type.

    Args:
        main: The text before the parameters, in lower case, without comments and white space.
        parameters: By name in lower case; decoded (RFC 2231), with the case of the value kept.
    """

    main: str = ""
    parameters: dict[str, str] = field(default_factory=dict)

    def word(self, name: str) -> str:
        """Returns a parameter in lower case; empty when the field has none of that name."""
        return self.parameters.get(name, "").strip().lower()


_EMPTY = Value()


@lru_cache(maxsize=512)
def parse_value(value: str) -> Value:
    """Reads a field with parameters. It never fails: a part that cannot be read is left out.

    Args:
        value: The unfolded field; `MAX_FIELD_CHARACTERS` of it are read.
    """
    if not value:
        return _EMPTY
    bare = without_comments(value[:MAX_FIELD_CHARACTERS])
    found: dict[str, str] = {}
    sections: dict[str, list[tuple[int, str, bool]]] = {}
    for name, quoted, plain in _PARAMETER.findall(bare):
        base, star, rest = name.lower().partition("*")
        content = unescape(quoted) if quoted else plain.strip()
        if not star:
            found.setdefault(base, content)
        else:
            number = rest.rstrip("*")
            place = int(number) if number.isascii() and number.isdigit() and len(number) <= 3 else 0  # noqa: PLR2004
            sections.setdefault(base, []).append((place, content, rest.endswith("*") or not rest))
    # The extended form takes precedence over the plain one, which is there for old readers (RFC 6266 4.3 says it).
    found.update((name, _joined(parts)) for name, parts in sections.items())
    return Value("".join(bare.partition(";")[0].split()).lower(), found)


def _joined(parts: list[tuple[int, str, bool]]) -> str:
    """Joins the sections of a parameter in their order and decodes its percent signs (RFC 2231 3 and 4)."""
    parts = sorted(parts, key=lambda part: part[0])
    charset, data = "", b""
    for place, (_, content, is_encoded) in enumerate(parts):
        text = content
        if is_encoded and not place and content.count("'") > 1:
            charset, _, text = content.split("'", 2)
        data += unquote_to_bytes(text) if is_encoded else text.encode("utf-8", "replace")
    return decode_bytes(data, charset)


def without_comments(value: str) -> str:
    """Replaces each comment by a blank. A parenthesis that is not closed is text. Time grows with the length."""
    if "(" not in value:
        return value
    pieces: list[str] = []
    position = searched = 0
    while mark := _MARK.search(value, searched):
        searched = mark.end()
        if mark[0] != "(":
            continue
        end = comment_end(value, searched)
        if not end:  # nor does a later one close all that is open
            break
        pieces += (value[position : mark.start()], " ")
        position = searched = end
    return "".join((*pieces, value[position:]))


def comment_end(value: str, position: int) -> int:
    """Returns the place behind the parenthesis that closes a comment, or 0 when none does.

    Args:
        value: The field.
        position: The place behind the parenthesis that opens the comment.
    """
    depth = 1
    while found := _PARENTHESIS.search(value, position):
        position = found.end()
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if not depth:
            return position
    return 0


def unescape(content: str) -> str:
    """Takes the backslashes of quoted pairs out (RFC 5322 3.2.1)."""
    return _ESCAPED.sub(r"\1", content) if "\\" in content else content
