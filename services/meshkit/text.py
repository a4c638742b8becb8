"""The rules for text from outside: text that can be stored, and names that only show themselves."""

import re
from typing import Final

from services.meshkit.errors import FieldInvalid

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")

# DEL and C1; surrogates, which no output encodes; line and paragraph separators; marks, embeddings, overrides and
# isolates of bidirectional text (Unicode UAX #9); zero-width and tag characters, which hide text. The two joiners
# (U+200C, U+200D) stay: several scripts and emoji need them, and they change only the shape of their neighbours.
ACTING_ABOVE_C0: Final = (
    "\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f"
)
"""The characters above C0 on which a reader's program acts instead of showing them; the inside of a character class."""
ACTING: Final = re.compile(f"[\x00-\x1f{ACTING_ABOVE_C0}]")
"""A character on which a reader's program acts instead of showing it."""


def visible(text: str) -> str:
    r"""Return a text in which each character that acts is shown by its code, such as `\x1b` or `\u202e`."""
    return ACTING.sub(lambda found: _code(found.group()), text)


def is_storable(text: str) -> bool:
    """Return whether a text has neither the character U+0000 nor a lone surrogate.

    JSON can spell both. No column of PostgreSQL takes U+0000, and UTF-8 has no form for a surrogate.
    """
    return _UNSTORABLE.search(text) is None


def name_fault(name: str, most: int, *, least: int = 0) -> str:
    """Return the fault of a name that people read in a terminal, on a page or in a log; empty when there is none.

    Args:
        name: The name.
        most: The largest number of characters.
        least: The smallest number of characters.
    """
    if not least <= len(name) <= most:
        return f"must have {least} to {most} characters" if least else f"must have at most {most} characters"
    return "must have no control, direction or invisible characters" if ACTING.search(name) else ""


def check_name(field: str, name: str, most: int, *, least: int = 0) -> None:
    """Check a name in a request; see `name_fault`.

    Raises:
        FieldInvalid: The name is too short or too long, or has a character that acts.
    """
    if fault := name_fault(name, most, least=least):
        raise FieldInvalid.of(field, fault)


def plain_name(name: str, most: int) -> str:
    """Return a name that another system gave, without the characters that act, cut to a number of characters."""
    return " ".join(ACTING.sub(" ", name).split())[:most].rstrip()


def _code(character: str) -> str:
    number = ord(character)
    if number <= 0xFF:  # noqa: PLR2004 - two digits
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character, f"\\x{number:02x}")
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"  # noqa: PLR2004 - four digits
