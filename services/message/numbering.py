"""The numbers of list items in text, as HTML counts and writes them (HTML 4.4.5 and 4.4.8)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NUMBER = re.compile(r' (?:start|value)="\s*([+-]?\d{1,9})')
_TYPE = re.compile(r' type="([aAiI])"')
_REVERSED = ' reversed="'
_LIST_OR_ITEM = re.compile(r"<(/?)(ul|ol|menu|dir|li)(?=[\s>])")
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
    (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_LARGEST_ROMAN = 3999


@dataclass
class Numbering:
    """The numbers of one list.

    Args:
        number: That of the next item.
        step: From an item to the next one.
        form: The attribute `type`; empty for digits.
    """

    number: int = 1
    step: int = 1
    form: str = ""

    def mark(self, attributes: str) -> str:
        """Return the mark of the next item, and count it.

        Args:
            attributes: Those of the item, as they are written; they may set its number.
        """
        given = _NUMBER.search(attributes)
        number = int(given[1]) if given else self.number
        self.number = number + self.step
        return f"{_written(number, self.form)}. "


def numbering(attributes: str, lengths: Iterator[int]) -> Numbering:
    """Return the numbers of a list.

    Args:
        attributes: Those of the list, as they are written.
        lengths: See `lengths`; a list that counts down takes its own.
    """
    given, form, length = _NUMBER.search(attributes), _TYPE.search(attributes), next(lengths, 0)
    is_reversed = _REVERSED in attributes
    first = int(given[1]) if given else length if is_reversed else 1
    return Numbering(first, -1 if is_reversed else 1, form[1] if form else "")


def lengths(fragment: str) -> Sequence[int]:
    """Count the items of each ordered list of a fragment, in the order of their beginnings; none where none asks."""
    if _REVERSED not in fragment:
        return ()
    made: list[int] = []
    opened: list[int] = []
    for closing, name in _LIST_OR_ITEM.findall(fragment):
        if name == "li":
            if not closing and opened and opened[-1] >= 0:
                made[opened[-1]] += 1
        elif closing:
            del opened[-1:]
        else:
            opened.append(len(made) if name == "ol" else -1)
            made += [0] if name == "ol" else []
    return made


def _written(number: int, form: str) -> str:
    if form in ("a", "A") and number > 0:
        return _letters(number) if form == "a" else _letters(number).upper()
    if form in ("i", "I") and 0 < number <= _LARGEST_ROMAN:
        return _roman(number) if form == "i" else _roman(number).upper()
    return str(number)


def _letters(number: int) -> str:
    made = ""
    while number:
        number, letter = divmod(number - 1, 26)
        made = chr(ord("a") + letter) + made
    return made


def _roman(number: int) -> str:
    made = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        made += letters * count
    return made
