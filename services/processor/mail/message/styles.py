"""Inline styles and style sheets: the declarations that stay, and those that hide their element (CSS 2.2, Color 4)."""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from services.processor.mail.message.colours import comparable_css, is_faint

_MAX_STYLE_CHARACTERS = 8 * 1024
_MAX_SHEET_CHARACTERS = 64 * 1024
_MAX_RULES = 2000
_MAX_SELECTOR_CHARACTERS = 400

_SIDES = ("", "-top", "-right", "-bottom", "-left")
_BORDERS = {f"border{side}{part}" for side in _SIDES for part in ("", "-color", "-style", "-width")}
# Properties that only say how the mail's own text looks: none that fetches, covers, moves or hides behind other things.
STYLES = _BORDERS | {f"margin{side}" for side in _SIDES} | {f"padding{side}" for side in _SIDES} | {
    "background-color", "border-collapse", "border-radius", "border-spacing", "color", "direction", "display", "font",
    "font-family", "font-size", "font-style", "font-variant", "font-weight", "height", "letter-spacing", "line-height",
    "list-style-type", "max-height", "max-width", "min-height", "min-width", "text-align", "text-decoration",
    "text-indent", "text-transform", "vertical-align", "white-space", "width", "word-break", "word-spacing",
    "word-wrap",
}  # fmt: skip
# A declaration with an escape, a rule or a function other than a colour; some of them act in old readers.
_ACTING = re.compile(r"[\\@<]|(?:^|[^\w-])(?!(?:rgb|hsl)a?\()[\w-]*+\(", re.IGNORECASE)
_NUMBER = re.compile(r"#[0-9a-z]++|([+-]?(?:\d++(?:\.\d*+)?+|\.\d++)(?:e[+-]?\d++)?+)(%|[a-z]*+)", re.IGNORECASE)
_PIXELS = {
    "": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 37.8, "mm": 3.78, "q": 0.945, "em": 16.0,
    "rem": 16.0, "ex": 8.0, "ch": 8.0, "vw": 20.0, "vh": 20.0, "vmin": 20.0, "vmax": 20.0,
}  # fmt: skip
_MAX_BOX_PIXELS = 2000.0
_MAX_PIXELS = {
    "font-size": 100.0, "font": 100.0, "line-height": 200.0, "letter-spacing": 50.0, "word-spacing": 50.0,
    "vertical-align": 200.0, "text-indent": 400.0, "border-spacing": 100.0,
    **dict.fromkeys(_BORDERS, 100.0), **{f"margin{side}": 400.0 for side in _SIDES},
    **{f"padding{side}": 400.0 for side in _SIDES},
}  # fmt: skip
_MAX_PERCENT = {"font-size": 400.0, "font": 400.0, "line-height": 400.0}
_COLOUR_NAMES = {"color", "background-color", "font-weight", "font-family"} | {f"border{side}-color" for side in _SIDES}
# A marker stands outside of its list: one of any text would be written over what is beside the mail.
_MARKER = re.compile(r"(?:none|disc|circle|square|(?:lower|upper)-(?:alpha|latin|roman)|decimal(?:-leading-zero)?)")
_TINY_PIXELS = 2.0
_FAR_AWAY_PIXELS = -300.0
_BEYOND_PIXELS = 5000.0
_COLOUR = re.compile(r"#[0-9a-f]{3,8}(?![\w-])|(?:rgb|hsl)a?\([\d\s.,%/+a-z-]{1,60}\)", re.IGNORECASE)
_URL = re.compile(r"url\([^)]*+\)?", re.IGNORECASE)
_WORD = re.compile(r"[a-z]{3,24}", re.IGNORECASE)
_NO_COLOURS = frozenset(
    ["none", "inherit", "initial", "unset", "revert", "repeat", "scroll", "fixed", "local", "center", "top", "bottom",
     "left", "right", "cover", "contain", "auto", "no", "url"]
)  # fmt: skip
_SELECTOR = re.compile(r"([a-z][a-z0-9]*+)?([.#][\w-]++)?", re.IGNORECASE)
_OF_PAGE = re.compile(r"\A(?:html\s+)?body\s+")
_COMBINATOR = re.compile(r"[\s>+~]++")
_SELECTOR_WORD = re.compile(r"[.#][\w-]+|^[a-zA-Z][a-zA-Z0-9]*$")
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.DOTALL)
_OPACITY = re.compile(r"(?<![\w-])(?:opacity\(\s*([\d.]{1,9}%?)|alpha\(\s*opacity\s*=\s*([\d.]{1,9}))")
_MOVED = re.compile(r"(?<=[(,\s])-\d[\w.]*+(?!%)")
_SCALED_AWAY = re.compile(r"scale[xy]?\(0(?:\.0{0,9})?[,)]")
_SIZE = re.compile(r"\d{0,6}\.?\d{0,6}(?:px|pt|em|rem|%)|0")
_BRACE = re.compile(r"[{}]")
_PLAIN_MEDIA = re.compile(r"@media\s+(?:only\s+)?(?:all|screen)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Style:
    """An inline style, read.

    Args:
        css: The declarations that stay.
        is_gone: The element and all in it are not shown.
        is_seen: What `visibility` says; None when it says nothing.
        is_tiny: The text has no size that can be read; None when the style gives no size.
        ink: The colour of the text, `inherit` when the style gives none, empty when it cannot be compared.
        ground: The colour behind it, in the same way.
        display: The value of `display`, empty without one.
    """

    css: str = ""
    is_gone: bool = False
    is_seen: bool | None = None
    is_tiny: bool | None = None
    ink: str = "inherit"
    ground: str = "inherit"
    display: str = ""

    @cached_property
    def kept_ground(self) -> str:
        """The ground among the declarations that stay; empty without one."""
        return next((text[17:] for text in self.css.lower().split(";") if text.startswith("background-color:")), "")

    @cached_property
    def is_plain(self) -> bool:
        """The style changes neither what a reader sees nor the colours."""
        changes_text = self.is_gone or self.is_seen is not None or self.is_tiny is not None
        return not changes_text and self.ink == self.ground == "inherit"


@lru_cache(maxsize=4096)
def read_style(source: str) -> Style:
    """Reads an inline style: bounds its sizes, leaves out what acts, and tells what it hides.

    Args:
        source: The value of a `style` attribute; 8 Ki characters are read.
    """
    given: dict[str, str] = {}
    kept: dict[str, str] = {}
    for declaration in without_comments(source[:_MAX_STYLE_CHARACTERS]).split(";"):
        name, colon, value = declaration.partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon or not value:
            continue
        meant = value.lower().partition("!")[0].strip()
        given[unescaped(name)] = unescaped(meant) if "\\" in meant else meant
        if name == "background":
            name, value = "background-color", _ground_of(value)
        if value and name in STYLES and not _ACTING.search(value) and _is_bounded(name, value.lower()):
            kept.pop(name, None)
            kept[name] = value
    return Style(
        css=";".join(f"{name}:{value}" for name, value in kept.items()),
        is_gone=_is_gone(given),
        is_seen=None if "visibility" not in given else given["visibility"] not in ("hidden", "collapse"),
        is_tiny=_is_tiny(given),
        ink=comparable_css(given.get("-webkit-text-fill-color") or given.get("color", "inherit")),
        ground=_ground(given),
        display=given.get("display", ""),
    )


def still(source: str) -> str:
    """Returns the declarations of an inline style that stay."""
    return read_style(source).css


def _ground_of(shorthand: str) -> str:
    """Returns the colour of a `background`; the rest of it fetches or places pictures."""
    bare = _URL.sub(" ", shorthand)
    if colour := _COLOUR.search(bare):
        return colour[0]
    words = [word for word in _WORD.findall(bare) if word.lower() not in _NO_COLOURS] if "(" not in bare else []
    return words[0] if len(words) == 1 else ""


def _is_bounded(name: str, value: str) -> bool:
    """Tells whether all lengths of a declaration are of a size that mails have and nothing moves out of its place."""
    if name in _COLOUR_NAMES:
        return True
    if name == "list-style-type":
        return bool(_MARKER.fullmatch(value.partition("!")[0].strip()))
    for number, unit in _NUMBER.findall(_COLOUR.sub("", value)):
        if not number:
            continue
        size = float(number)
        if size < (-3 if name.endswith("-spacing") else 0):
            return False
        if unit == "%":
            is_small = size <= _MAX_PERCENT.get(name, 100.0)
        elif name == "font" and not unit:
            is_small = size <= 1000  # noqa: PLR2004 - the heaviest weight
        else:
            factor = 16.0 if name == "line-height" and not unit else _PIXELS.get(unit, 16.0)
            is_small = size * factor <= _MAX_PIXELS.get(name, _MAX_BOX_PIXELS)
        if not is_small:
            return False
    return True


def _pixels(value: str) -> float | None:
    """Returns the first length of a value; None when it begins with none."""
    number = _NUMBER.match(value)
    if not number or not number[1]:
        return None
    return float(number[1]) * _PIXELS.get(number[2].lower(), 16.0)


def _is_gone(given: dict[str, str]) -> bool:
    display = given.get("display", "")
    if display == "none" or (given.get("mso-hide") == "all" and not display):
        return True
    if is_faint(given.get("opacity", "1")) or given.get("content-visibility") == "hidden":
        return True
    if (filtered := _OPACITY.search(given.get("filter", ""))) and is_faint(filtered[1] or filtered[2]):
        return True
    if any(given.get(name) in ("hidden", "clip") for name in ("overflow", "overflow-x", "overflow-y")) and any(
        (size := _pixels(given.get(name, ""))) is not None and size < _TINY_PIXELS
        for name in ("max-height", "height", "max-width", "width")
    ):
        return True
    return _is_elsewhere(given)


def _is_elsewhere(given: dict[str, str]) -> bool:
    """The element is moved out of sight, or clipped or scaled to nothing."""
    places = [given.get(name, "") for name in ("text-indent", "margin-left", "margin-top")]
    if "-" in (margin := given.get("margin", "")):
        places += margin.split()
    if given.get("position") in ("absolute", "fixed", "relative"):
        places += [given.get(name, "") for name in ("left", "top", "right", "bottom")]
        if "".join(given.get("clip", "").split()).startswith(("rect(0", "rect(1px")):
            return True
    if "transform" in given:
        places += _MOVED.findall(given["transform"])
    if any((_pixels(given.get(name, "")) or 0.0) >= _BEYOND_PIXELS for name in ("left", "top")):
        return True
    if any(place and (size := _pixels(place)) is not None and size <= _FAR_AWAY_PIXELS for place in places):
        return True
    clip_path, transform = given.get("clip-path", ""), "".join(given.get("transform", "").split())
    return clip_path.startswith(("inset(50%", "inset(100%", "circle(0")) or bool(_SCALED_AWAY.match(transform))


def _is_tiny(given: dict[str, str]) -> bool | None:
    value = given.get("font-size", "")
    if not value and "font" in given:
        value = next((word for word in given["font"].split("/")[0].split() if _SIZE.fullmatch(word)), "")
    number = _NUMBER.match(value)
    if not number or not number[1]:
        return False if value and value != "inherit" else None
    size = float(number[1])
    return size <= 5 if number[2] == "%" else size * _PIXELS.get(number[2].lower(), 16.0) < _TINY_PIXELS  # noqa: PLR2004


def _ground(given: dict[str, str]) -> str:
    """The ground, when it is one colour."""
    if (
        "background-image" in given
        or "url(" in given.get("background", "")
        or "gradient" in given.get("background", "")
    ):
        return ""
    shorthand = given.get("background", "")
    colour = given.get("background-color") or _ground_of(shorthand)
    if not colour and "(" in shorthand:  # a function that the made HTML does not keep
        return ""
    return comparable_css(colour) if colour and colour != "transparent" else "inherit"


def unescaped(css: str) -> str:
    """Decodes the escapes of CSS (CSS Syntax 4.3.7)."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16) % 0x110000) if found[1] else found[2], css)


def without_comments(css: str) -> str:
    """Takes the comments out; one that is not closed reaches to the end."""
    pieces, position = [], 0
    while (start := css.find("/*", position)) >= 0:
        pieces.append(css[position:start])
        end = css.find("*/", start + 2)
        position = end + 2 if end >= 0 else len(css)
    return "".join((*pieces, css[position:]))


class Sheet:
    """What a mail's style sheets hide, by selectors of one element name, one class, one id, or a name with one of them.

    Rules under a condition (`@media` with features) are left out, since they hold for some readers only.
    """

    def __init__(self) -> None:
        self._shown: dict[tuple[str, str], str] = {}
        self._grounds: set[str] = set()
        self._names: set[str] = set()
        self.has_grounds = False

    def __bool__(self) -> bool:
        return bool(self._shown)

    def names(self, name: str) -> bool:
        """Tells whether a rule may speak of each element of a name, whatever its class and its id."""
        return name in self._names

    def add(self, source: str) -> None:
        """Reads a sheet; 64 Ki characters of it."""
        css = without_comments(source[:_MAX_SHEET_CHARACTERS])
        self.has_grounds = self.has_grounds or "background" in css
        position = 0
        for _ in range(_MAX_RULES):
            brace = css.find("{", position)
            if brace < 0:
                return
            prelude = css[position:brace].rpartition("}")[2].rpartition(";")[2].strip()
            if prelude.startswith("@") and not _PLAIN_MEDIA.fullmatch(prelude):
                position = _block_end(css, brace + 1)
            elif prelude.startswith("@"):
                position = brace + 1
            else:
                end = css.find("}", brace)
                self._rule(prelude, css[brace + 1 : end if end >= 0 else len(css)])
                position = end + 1 if end >= 0 else len(css)

    def hides(self, name: str, classes: list[str], element_id: str, style: Style) -> bool:
        """Tells whether an element is hidden; its own style decides unless the sheet insists."""
        keys = [(name, ""), *(("", f".{word}") for word in classes), *((name, f".{word}") for word in classes)]
        keys += (("", f"#{element_id}"), (name, f"#{element_id}"))
        verdicts = [found for key in keys if (found := self._shown.get(key))]
        if "hides!" in verdicts:
            return True
        return bool(verdicts) and verdicts[-1] == "hides" and not style.display and style.is_seen is None

    def gives_ground(self, name: str, classes: list[str], element_id: str) -> bool:
        """Tells whether a rule may lay a ground behind an element: one whose last part names it."""
        words = (name, f"#{element_id}", *(f".{word}" for word in classes))
        return bool(self._grounds) and not self._grounds.isdisjoint(words)

    def _rule(self, selectors: str, declarations: str) -> None:
        style = read_style(declarations)
        if style.ground not in ("inherit", "transparent") and len(self._grounds) < _MAX_RULES:
            for selector in selectors.split(",")[:50]:
                last = _COMBINATOR.split(selector.strip()[-_MAX_SELECTOR_CHARACTERS:])[-1]
                words = _SELECTOR_WORD.findall(last.lower() if last.isalpha() else last)[:5]
                self._grounds.update(words)
                self._names.update(word for word in words if word[0] not in ".#")
        hides = style.is_gone or style.is_seen is False
        if not hides and not style.display and style.is_seen is None:
            return
        insists = "!" if hides and "!important" in declarations.replace(" ", "").lower() else ""
        for selector in selectors.split(",")[:50]:
            found = _SELECTOR.fullmatch(_OF_PAGE.sub("", selector.strip()))
            if found and found[0]:
                key = ((found[1] or "").lower(), found[2] or "")
                if not key[1]:
                    self._names.add(key[0])
                if hides or not self._shown.get(key, "").endswith("!"):
                    self._shown[key] = ("hides" if hides else "shows") + insists


def _block_end(css: str, position: int) -> int:
    """Returns the place behind the brace that closes a block."""
    depth = 1
    while brace := _BRACE.search(css, position):
        position = brace.end()
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return position
    return len(css)
