"""RTF without its hidden text, which `striprtf` does not know."""

import re
from collections.abc import Callable

from striprtf.striprtf import destinations, remove_pict_groups

_without_pictures: Callable[[str], str] = remove_pict_groups
_TOKEN = re.compile(r"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'[0-9a-f]{2}|\\[^a-z]|([{}])|[^\\{}]+|\\", re.IGNORECASE)
_HIDDEN = re.compile(r"\\v(?![a-z])")
_SHOWN = frozenset(("emdash", "endash", "emspace", "enspace", "qmspace", "bullet", "lquote", "rquote", "ldblquote"))
"""Words that are text themselves (RTF 1.9.1, special characters)."""
_TEXT_WORDS = _SHOWN | {"rdblquote", "u"}


def without_hidden(source: str) -> tuple[str, bool]:
    r"""Leave out what `\v` hides, up to `\v0`, `\plain` or the end of the group (RTF 1.9.1, font formatting).

    Args:
        source: The document; each character is a byte.

    Returns:
        The document without hidden text, and whether there was some.
    """
    if not _HIDDEN.search(source):
        return source, False
    reader = _Reader()
    # Binary pictures have braces that are none.
    kept = [token[0] for token in _TOKEN.finditer(_without_pictures(source)) if reader.keeps(token)]
    return "".join(kept), reader.has_hidden


class _Reader:
    def __init__(self) -> None:
        self.has_hidden = False
        # Whether text is hidden, and whether a group is no text of the document.
        self._is_hidden, self._is_apart = False, False
        self._groups: list[tuple[bool, bool]] = []

    def keeps(self, token: re.Match[str]) -> bool:
        """Take the next token; tell whether it stays."""
        word, number, brace = token.groups()
        if brace == "{":
            self._groups.append((self._is_hidden, self._is_apart))
        elif brace:
            self._is_hidden, self._is_apart = self._groups.pop() if self._groups else (False, False)
        elif word and word not in _TEXT_WORDS:
            self._take_word(word, number)
        elif token[0] == "\\*":
            self._is_apart = True
        elif self._is_hidden and not self._is_apart:
            self.has_hidden |= bool(token[0].strip())
            return False
        return True

    def _take_word(self, word: str, number: str | None) -> None:
        if word in destinations:
            self._is_apart = True
        elif word == "v":
            self._is_hidden = number is None or int(number) != 0
        elif word == "plain":
            self._is_hidden = False
