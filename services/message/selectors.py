"""Selectors of style sheets, as far as mails need them (Selectors 4): compounds, descendants and children.

Selectors of a state (`:hover`), of an element beside another (`+`, `~`), of content (`:empty`, `:has()`) and of a part
(`::before`) are not read, nor are `:nth-child(... of S)` and complex selectors within `:not()` and its like. No text is
left out because of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.message.places import Nth, Place, read_formula

MAX_SELECTOR_CHARACTERS = 400
_MAX_COMPOUNDS = 8
_IDENT = r"(?:[\w-]|[^\x00-\x7f]|\\.)+"
_INNER = r"(?:[^()]|\([^()]*+\))*+"
# The selectors of a list: a comma within parentheses parts nothing.
_PARTS = re.compile(rf"(?:[^,(]++|\({_INNER}\)?+)++")
_TOKEN = re.compile(
    rf"""(?P<between>\s*+[>+~]\s*+|\s++)
    |(?P<name>\*|[a-zA-Z]{_IDENT}|[a-zA-Z])
    |\.(?P<class>{_IDENT})
    |\#(?P<id>{_IDENT})
    |\[\s*+(?P<attribute>[a-zA-Z][\w-]*+)\s*+(?:(?P<operator>[~|^$*]?=)\s*+
        (?:"(?P<double>[^"]*+)"|'(?P<single>[^']*+)'|(?P<bare>[^\s\]"']++))\s*+(?P<flag>[iIsS]?))?\s*+\]
    |:not\((?P<not>{_INNER})\)
    |:(?:is|where)\((?P<is>{_INNER})\)
    |:(?P<end>(?i:first|last|only))-(?P<of>(?i:child|of-type))(?![\w-])
    |:(?i:nth)-(?P<nth_last>(?i:last-))?(?P<nth_of>(?i:child|of-type))\((?P<formula>[^()]{{1,40}})\)
    |(?P<root>:root)
    |(?P<link>:(?:any-)?link)""",
    re.VERBOSE,
)
_FREE_OF_CASE = frozenset(("align", "dir", "lang", "type", "valign"))


class Element(Protocol):
    """The facts that a selector is compared with."""

    name: str
    attributes: dict[str, str]
    place: Place | None


class _Attribute(NamedTuple):
    name: str
    operator: str
    value: str
    is_free_of_case: bool

    def fits(self, attributes: Mapping[str, str]) -> bool:
        if self.name not in attributes:
            return False
        given, value = attributes[self.name], self.value
        if self.is_free_of_case:
            given, value = given.lower(), value.lower()
        if self.operator in ("", "="):
            return not self.operator or given == value
        if not value:
            return False
        if self.operator == "~=":
            return value in given.split()
        if self.operator == "|=":
            return given == value or given.startswith(f"{value}-")
        return {"^=": given.startswith, "$=": given.endswith, "*=": given.__contains__}[self.operator](value)


@dataclass(frozen=True)
class Compound:
    """The conditions of a selector on one element."""

    name: str = ""
    classes: frozenset[str] = frozenset()
    element_id: str = ""
    attributes: tuple[_Attribute, ...] = ()
    without: tuple["Compound", ...] = ()
    either: tuple[tuple["Compound", ...], ...] = ()
    places: tuple[Nth, ...] = ()

    def fits(self, element: Element) -> bool:
        """Tells whether an element is one of those that the compound means."""
        if self.name and self.name != element.name:
            return False
        given = element.attributes
        if self.element_id and given.get("id") != self.element_id:
            return False
        if self.classes and not self.classes.issubset(given.get("class", "").split()):
            return False
        if any(part.fits(element) for part in self.without):
            return False
        if not all(nth.fits(element.place) for nth in self.places):
            return False
        is_either = all(any(part.fits(element) for part in parts) for parts in self.either)
        return is_either and all(part.fits(given) for part in self.attributes)

    @property
    def key(self) -> str:
        """A word that every element has that fits: an id, a class, a name, or `*` for any element."""
        if self.element_id:
            return f"#{self.element_id}"
        return f".{min(self.classes)}" if self.classes else self.name or "*"


@dataclass(frozen=True)
class Selector:
    """Compounds from the outermost to the element itself, each but the last with what stands behind it (` ` or `>`)."""

    compounds: tuple[Compound, ...]
    between: tuple[str, ...]
    weight: tuple[int, int, int]

    def fits(self, element: Element, path: Sequence[Element]) -> bool:
        """Tells whether an element is meant.

        Args:
            element: The element.
            path: The elements around it, the outermost first.
        """
        return self.compounds[-1].fits(element) and self._fits_path(path, len(path), len(self.between))

    def _fits_path(self, path: Sequence[Element], end: int, left: int) -> bool:
        """Looks for the compounds before the last; those of a chain of children must stand side by side."""
        ends = {end}
        for place in range(left - 1, -1, -1):
            compound, is_child = self.compounds[place], self.between[place] == ">"
            inner = max(ends)
            candidates = {end - 1 for end in ends} if is_child else range(inner)
            ends = {at for at in candidates if at >= 0 and compound.fits(path[at])}
            if not ends:
                return False
        return True


def read_selector(source: str) -> Selector | None:
    """Reads one selector; None for one that is not understood."""
    if not source or len(source) > MAX_SELECTOR_CHARACTERS:
        return None
    groups: list[list[re.Match[str]]] = [[]]
    between: list[str] = []
    position = 0
    while position < len(source):
        token = _TOKEN.match(source, position)
        if not token:
            return None
        position = token.end()
        if token["between"] is None:
            groups[-1].append(token)
        else:
            between.append(token["between"].strip() or " ")
            groups.append([])
    if not all(groups) or len(groups) > _MAX_COMPOUNDS or any(mark in "+~" for mark in between):
        return None
    compounds = [_compound(group) for group in groups]
    if any(found is None for found in compounds):
        return None
    kept = tuple(found for found in compounds if found is not None)
    return Selector(kept, tuple(between), _weight([token for group in groups for token in group]))


def selectors_of(source: str, most: int) -> list[str]:
    """Returns the first selectors of a list, at most a number of them."""
    return [found[0].strip() for _, found in zip(range(most), _PARTS.finditer(source), strict=False)]


def _compound(tokens: Sequence[re.Match[str]]) -> Compound | None:
    without = [_inner(token["not"]) for token in tokens if token["not"] is not None]
    either = [_inner(token["is"]) for token in tokens if token["is"] is not None]
    if not all((*without, *either)):
        return None
    places = _places(tokens)
    if places is None:
        return None
    names = [token["name"] or "html" for token in tokens if token["name"] or token["root"]]
    ids = {_unescaped(token["id"]) for token in tokens if token["id"]}
    if len(names) > 1 or len(ids) > 1:
        return None
    attributes = [_attribute(token) for token in tokens if token["attribute"]]
    if any(token["link"] for token in tokens):
        attributes.append(_Attribute("href", "", "", is_free_of_case=False))
    return Compound(
        name="" if not names or names[0] == "*" else names[0].lower(),
        classes=frozenset(_unescaped(token["class"]) for token in tokens if token["class"]),
        element_id=next(iter(ids), ""),
        attributes=tuple(attributes),
        without=tuple(compound for found in without for compound in found),
        either=tuple(either),
        places=places,
    )


def _places(tokens: Sequence[re.Match[str]]) -> tuple[Nth, ...] | None:
    """Reads the conditions on the place of an element; None when one of them is not understood."""
    found: list[Nth | None] = []
    for token in tokens:
        if token["formula"]:
            is_of_type = token["nth_of"].lower() == "of-type"
            found.append(read_formula(token["formula"], is_last=bool(token["nth_last"]), is_of_type=is_of_type))
        elif token["end"]:
            end, is_of_type = token["end"].lower(), token["of"].lower() == "of-type"
            found += [read_formula("1", is_last=False, is_of_type=is_of_type)] if end != "last" else []
            found += [read_formula("1", is_last=True, is_of_type=is_of_type)] if end != "first" else []
    kept = tuple(nth for nth in found if nth is not None)
    return kept if len(kept) == len(found) else None


def _inner(source: str) -> tuple[Compound, ...]:
    """Reads the compounds within `:not()` and its like; none when one of them is not understood."""
    found = [read_selector(part) for part in selectors_of(source, 20)]
    kept = tuple(selector.compounds[0] for selector in found if selector is not None and not selector.between)
    return kept if len(kept) == len(found) else ()


def _attribute(token: re.Match[str]) -> _Attribute:
    name = token["attribute"].lower()
    value = token["double"] or token["single"] or token["bare"] or ""
    is_free = (token["flag"] or "").lower() == "i" or (name in _FREE_OF_CASE and not token["flag"])
    return _Attribute(name, token["operator"] or "", _unescaped(value), is_free)


def _weight(tokens: Sequence[re.Match[str]]) -> tuple[int, int, int]:
    """The specificity: ids, then classes and attributes, then names (Selectors 4, 17); `:not()` counts as a class."""
    ids = sum(token["id"] is not None for token in tokens)
    names = sum(token["name"] not in (None, "*") for token in tokens)
    any_element = sum(token["name"] == "*" for token in tokens)
    return ids, len(tokens) - ids - names - any_element, names


def _unescaped(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word) if "\\" in word else word
