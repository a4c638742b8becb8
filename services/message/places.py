"""Places of elements among the elements of their parent, by which style sheets choose (Selectors 4, 14.3 and 14.4)."""

import re
from collections.abc import Sequence
from typing import NamedTuple

_FORMULA = re.compile(r"\s*(?:(even|odd)|([+-]?\d{0,6})n\s*(?:([+-])\s*(\d{1,6}))?|([+-]?\d{1,6}))\s*", re.IGNORECASE)
# Elements of the head of a page, also where a mail has no tag for it: they stand beside none of the body.
_OF_THE_HEAD = frozenset(("base", "link", "meta", "script", "style", "template", "title", "noscript"))


class Place(NamedTuple):
    """A place among the elements of a parent, from 1; those from the end are 0 while the end is not known.

    Args:
        first: From the beginning.
        first_of_type: From the beginning, among the elements of the same name.
        last: From the end.
        last_of_type: From the end, among the elements of the same name.
    """

    first: int
    first_of_type: int
    last: int
    last_of_type: int


PAGE_PLACES = {"html": Place(1, 1, 1, 1), "head": Place(1, 1, 2, 1), "body": Place(2, 1, 1, 1)}
"""The places of the parts of a page, which have them whether they are written or not."""


class Nth(NamedTuple):
    """A condition on a place: `step` times a number from 0, and `offset`.

    Args:
        step: The distance between two places that are meant; 0 for one place alone.
        offset: The first place.
        kind: The field of `Place`, as its number.
    """

    step: int
    offset: int
    kind: int

    def fits(self, place: Place | None) -> bool:
        """Tell whether a place is meant. None is that of an element without known neighbours."""
        if place is None:
            return False
        beyond = place[self.kind] - self.offset
        return not beyond if not self.step else not beyond % self.step and beyond // self.step >= 0


def read_formula(source: str, *, is_last: bool, is_of_type: bool) -> Nth | None:
    """Read `An+B` (CSS Syntax 3, 6); None when it is none."""
    found = _FORMULA.fullmatch(source)
    if not found:
        return None
    word, step, sign, number, alone = found.groups()
    kind = 2 * is_last + is_of_type
    if word:
        return Nth(2, 0 if word.lower() == "even" else 1, kind)
    if alone is not None:
        return Nth(0, int(alone), kind)
    offset = int(f"{sign}{number}") if number else 0
    return Nth(int(step if step.strip("+-") else f"{step}1"), offset, kind)


class _Siblings:
    """The elements of one parent, as far as they were read."""

    __slots__ = ("_whole", "count", "types")

    def __init__(self, whole: "_Siblings | None") -> None:
        self.count = 0
        self.types: dict[str, int] = {}
        self._whole = whole

    def add(self, name: str) -> Place:
        self.count += 1
        of_type = self.types[name] = self.types.get(name, 0) + 1
        if self._whole is None:
            return Place(self.count, of_type, 0, 0)
        last, last_of_type = self._whole.count - self.count, self._whole.types.get(name, of_type) - of_type
        return Place(self.count, of_type, last + 1, last_of_type + 1)


class Places:
    """Counts the elements of a body while they are opened and closed.

    Args:
        counted: The same body's elements, read before: with them, places from the end are known.
    """

    def __init__(self, counted: "Places | None" = None) -> None:
        self._counted: Sequence[_Siblings] = counted.siblings if counted else ()
        self.siblings: list[_Siblings] = []
        self._open = [self._begin()]
        self.has_content = False
        """The body has begun: what belongs to a head stands in the body from here on."""

    def add(self, name: str, parent: str) -> Place | None:
        """Count an element that begins within the innermost open one; return its place, None for parts of the head."""
        if name in PAGE_PLACES:
            return PAGE_PLACES[name]
        if parent == "head" or (not self.has_content and name in _OF_THE_HEAD):
            return None
        self.has_content = True
        return self._open[-1].add(name)

    def open(self) -> None:
        """Begin the content of an element."""
        self._open.append(self._begin())

    def close(self) -> None:
        """End the content of the innermost open element."""
        self._open.pop()

    def _begin(self) -> _Siblings:
        number = len(self.siblings)
        self.siblings.append(_Siblings(self._counted[number] if number < len(self._counted) else None))
        return self.siblings[-1]
