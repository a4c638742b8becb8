"""Style sheets of a mail: which of their rules hold for an element, and how it then looks (CSS Cascade 4)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.message.lengths import pixels
from services.message.selectors import (
    MAX_SELECTOR_CHARACTERS,
    Element,
    Selector,
    read_selector,
    selectors_of,
)
from services.message.styles import (
    Declarations,
    Style,
    look,
    read_style,
    without_comments,
)

_MAX_SHEET_CHARACTERS = 64 * 1024
_MAX_RULES = 2000
_MAX_SELECTORS = 50
_MAX_NESTING = 8
_MAX_COMPARISONS = 200_000
"""Comparisons of a rule with an element, over the whole mail. Newsletters need some ten thousand."""
_MAX_LOOKS = 4096
_NARROWEST, _WIDEST = 320, 2560
"""The widths in pixels between which programs show mails."""
_BRACE = re.compile(r"[{}]")
_COMBINATOR = re.compile(r"[\s>+~]++")
_WORD = re.compile(r"[.#][\w-]+|^[a-zA-Z][a-zA-Z0-9]*$")
_OLD_FEATURE = re.compile(r"(min|max)-(?:device-)?(?:width|height)\s*:\s*(\S{1,20})")
_RANGE = re.compile(r"(?:([\w.+-]{1,20})\s*([<>]=?)\s*)?(?:width|height)(?:\s*([<>]=?)\s*([\w.+-]{1,20}))?")
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ANY = float("inf")
_LOWEST = 200
# Marks of comments of HTML in a sheet are blanks (CSS Syntax 3, 4.3.1); quoted text ends no block.
_MARK = re.compile(r"<!--|-->")
_STRING = re.compile(r"'(?:[^'\\\n]|\\.)*+'?|" + r'"(?:[^"\\\n]|\\.)*+"?')
_PLAIN = str.maketrans("{};", "___")
_COLOURS = ("color", "background")
_PLACES = re.compile(r":(?:first|last|only|nth)-(?:last-)?(?:child|of-type)", re.IGNORECASE)
_ENDS = re.compile(r":(?:last|only|nth-last)-(?:child|of-type)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One selector with its declarations; later ones of the same weight win."""

    selector: Selector
    given: Declarations
    order: int


class Sheet:
    """The style sheets of a mail.

    Rules under a condition count when the condition holds for each reader: `@media` for screens and for all widths at
    which programs show mails. A selector that is not understood means no element.
    """

    def __init__(self) -> None:
        self._rules: dict[str, list[_Rule]] = {}
        self._looks: dict[tuple[int | str, ...], Style] = {}
        self._grounds: set[str] = set()
        self._names: set[str] = set()
        self._count = 0
        self._left = _MAX_COMPARISONS
        self.has_grounds = False
        self.has_paths = False
        """Rules speak of the elements around an element."""
        self.has_places = False
        """Rules speak of the place of an element among its neighbours."""
        self.has_ends = False
        """Some of them count from the last neighbour."""
        self._blocks = 0
        self._has_unread_colours = False

    def names(self, name: str) -> bool:
        """Tells whether a rule may speak of each element of a name, whatever its class and its id."""
        return name in self._names or "*" in self._names

    def add(self, source: str, media: str = "") -> None:
        """Reads a sheet; 64 Ki characters of it.

        Args:
            source: The content of a `style` element.
            media: Its attribute `media`.
        """
        css = _MARK.sub(" ", without_comments(source[:_MAX_SHEET_CHARACTERS]))
        css = _STRING.sub(lambda found: found[0].translate(_PLAIN), css)
        if media and not holds_always(media):
            return self._skip(css)
        self.has_grounds = self.has_grounds or "background" in css
        position = 0
        for _ in range(_MAX_RULES):
            brace = css.find("{", position)
            if brace < 0:
                return None
            prelude = css[position:brace].rpartition("}")[2].rpartition(";")[2].strip()
            if prelude.startswith("@") and _is_passed(prelude):
                position = brace + 1
                continue
            position = end = _block_end(css, brace + 1)
            if prelude.startswith("@"):
                self._skip(css[brace:end])
            else:
                self._block(selectors_of(prelude, _MAX_SELECTORS), css[brace + 1 : end].removesuffix("}"), _MAX_NESTING)
        return None

    def _block(self, selectors: list[str], css: str, levels: int) -> None:
        """Reads the content of a rule: declarations, and rules within it (CSS Nesting 1)."""
        position = 0
        while (brace := css.find("{", position)) >= 0 and self._blocks < _MAX_RULES:
            self._blocks += 1
            declarations, _, prelude = css[position:brace].rpartition(";")
            self._rule(selectors, declarations)
            position = _block_end(css, brace + 1)
            self._nested(selectors, prelude.strip(), css[brace + 1 : position].removesuffix("}"), levels - 1)
        if brace < 0:
            self._rule(selectors, css[position:])

    def _nested(self, selectors: list[str], prelude: str, css: str, levels: int) -> None:
        if prelude.startswith("@") and _is_passed(prelude) and levels:
            self._block(selectors, css, levels)
        elif prelude.startswith("@") or not prelude or not levels:
            self._skip(css)
        else:
            inner = [_within(outer, part) for outer in selectors for part in selectors_of(prelude, _MAX_SELECTORS)]
            self._block(inner[:_MAX_SELECTORS], css, levels)

    def look(self, element: Element, path: Sequence[Element], style: Style) -> Style:
        """Returns how an element looks by the rules and by its own style.

        Args:
            element: The element.
            path: The elements around it, the outermost first.
            style: Its own style.
        """
        rules = self._fitting(element, path) if self._rules else []
        if not rules:
            return style
        key: tuple[int | str, ...] = (element.attributes.get("style", ""), *(rule.order for rule in rules))
        found = self._looks.get(key)
        if found is None:
            found = look(self._cascade(rules, style), style.css)
            if len(self._looks) < _MAX_LOOKS:
                self._looks[key] = found
        return found

    def is_ground_unknown(self, element: Element) -> bool:
        """Tells whether a rule that is not understood may lay a ground behind an element."""
        return self._has_unread_colours and self.has_grounds and bool(element.attributes)

    def gives_ground(self, element: Element) -> bool:
        """Tells whether a rule may lay a ground behind an element: one whose last part names it."""
        classes = element.attributes.get("class", "").split()[:20]
        words = (element.name, f"#{element.attributes.get('id', '')}", *(f".{word}" for word in classes))
        return bool(self._grounds) and not self._grounds.isdisjoint(words)

    def _fitting(self, element: Element, path: Sequence[Element]) -> list[_Rule]:
        """The rules that mean an element, the weakest first."""
        given = element.attributes
        keys = ["*", element.name, *(f".{word}" for word in dict.fromkeys(given.get("class", "").split()[:20]))]
        if "id" in given:
            keys.append(f"#{given['id']}")
        found = []
        for key in keys:
            for rule in self._rules.get(key, ()):
                self._left -= 1 + (len(path) if rule.selector.between else 0)
                if self._left < 0:
                    return []
                if rule.selector.fits(element, path):
                    found.append(rule)
        return sorted(found, key=lambda rule: (rule.selector.weight, rule.order)) if len(found) > 1 else found

    def _cascade(self, rules: Sequence[_Rule], style: Style) -> dict[str, str]:
        """Return the values that count: the rules and the style, then what the rules and the style insist on."""
        made: dict[str, str] = {}
        for rule in rules:
            made.update(rule.given.normal)
        made.update(style.given.normal)
        for rule in rules:
            made.update(rule.given.important)
        made.update(style.given.important)
        if self._has_unread_colours:  # one of the rules that are not understood may give another colour
            own = {**style.given.normal, **style.given.important}
            made = {name: value for name, value in made.items() if name != "color" or own.get(name) == value}
        return made

    def _rule(self, parts: list[str], declarations: str) -> None:
        if not declarations.strip():
            return
        style = read_style(declarations)
        if style.ground not in ("inherit", "transparent") and len(self._grounds) < _MAX_RULES:
            self._note_grounds(parts)
        has_colours = any(mark in declarations for mark in _COLOURS)
        if not style.given.concerns_sight:
            return
        for part in parts:
            selector = read_selector(part.strip())
            if selector is None or self._count >= _MAX_RULES:
                self._has_unread_colours = self._has_unread_colours or (has_colours and not _is_a_state(part))
                continue
            self._count += 1
            key = selector.compounds[-1].key
            self._rules.setdefault(key, []).append(_Rule(selector, style.given, self._count))
            self.has_paths = self.has_paths or bool(selector.between)
            self.has_places = self.has_places or bool(_PLACES.search(part))
            self.has_ends = self.has_ends or bool(_ENDS.search(part))
            if key[0] not in ".#":
                self._names.add(key)

    def _note_grounds(self, selectors: Sequence[str]) -> None:
        for selector in selectors:
            last = _COMBINATOR.split(selector.strip()[-MAX_SELECTOR_CHARACTERS:])[-1]
            words = _WORD.findall(last.lower() if last.isalpha() else last)[:5]
            self._grounds.update(words)
            self._names.update(word for word in words if word[0] not in ".#")

    def _skip(self, css: str) -> None:
        """Notes that rules for some readers only were left out."""
        self._has_unread_colours = self._has_unread_colours or any(mark in css for mark in _COLOURS)
        self.has_grounds = self.has_grounds or "background" in css


def _within(outer: str, inner: str) -> str:
    """A selector of a rule within another one; `&` stands for the outer selector (CSS Nesting 1, 3)."""
    return (inner.replace("&", outer) if "&" in inner else f"{outer} {inner}")[: MAX_SELECTOR_CHARACTERS + 1]


def _is_a_state(selector: str) -> bool:
    """A part or a state that elements have now and then (`a:hover`, `::before`) says nothing of how they look else."""
    return bool(re.search(r":(?::|hover|active|focus|visited|before|after|first-l|selection|target)", selector))


def _is_passed(prelude: str) -> bool:
    """Tells whether the rules of a block hold for each reader."""
    name = re.split(r"[\s(]", prelude[1:], maxsplit=1)[0].lower()
    condition = prelude[1 + len(name) :]
    if name == "media":
        return not condition.strip() or holds_always(condition)
    if name == "supports":
        return "not" not in condition.lower().split() and "selector(" not in condition.lower()
    return name == "layer"


def holds_always(media: str) -> bool:
    """Tells whether a list of media queries (Media Queries 4) holds on screens of any width at which mails are shown.

    Args:
        media: The text behind `@media`, or an attribute `media`.
    """
    return any(_query_holds(query.strip().lower()) for query in media[:1000].split(",")[:_MAX_SELECTORS])


def _query_holds(query: str) -> bool:
    """Tells whether a query holds for each reader; with `not` before it, whether it holds for none."""
    is_negated = query.startswith("not ") and not query.startswith("not (")
    parts = re.split(r"\s+and\s+|(?<=\))\s*and\s+", query.removeprefix("not ") if is_negated else query)
    if is_negated:
        return any(_never_holds(part.strip()) for part in parts)
    return all(_always_holds(part.strip()) for part in parts)


def _always_holds(part: str) -> bool:
    if part.startswith("not"):
        return _never_holds(part[3:].strip())
    if not part.startswith("("):
        return part.removeprefix("only ").strip() in ("all", "screen")
    bounds = _bounds(part)
    lowest = _LOWEST if "height" in part else _NARROWEST
    return part.strip("() ") in ("width", "height", "color") or (
        bool(bounds) and all(low <= lowest and high >= _WIDEST for low, high in bounds)
    )


def _never_holds(part: str) -> bool:
    if not part.startswith("("):
        return part in ("print", "speech")
    return any(low > _WIDEST or high < _NARROWEST for low, high in _bounds(part))


def _bounds(feature: str) -> list[tuple[float, float]]:
    """The least and the greatest width or height that a feature allows, `(min-width: 1px)` or `(1px <= width)`."""
    bare = feature.strip("() ")
    if found := _OLD_FEATURE.fullmatch(bare):
        size = pixels(found[2])
        return [] if size is None else [(size, _ANY) if found[1] == "min" else (0.0, size)]
    found = _RANGE.fullmatch(bare)
    if not found:
        return []
    made = []
    for length, sign in ((found[1], _TURNED.get(found[2] or "", "")), (found[4], found[3] or "")):
        if length and sign and (size := pixels(length)) is not None:
            made.append((size, _ANY) if sign[0] == ">" else (0.0, size))
    return made


def _block_end(css: str, position: int) -> int:
    """Returns the place behind the brace that closes a block."""
    depth = 1
    while brace := _BRACE.search(css, position):
        position = brace.end()
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return position
    return len(css)
