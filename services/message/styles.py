"""Styles: the declarations that stay, and those that hide their element (CSS 2.2, Color 4)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial

from services.message.colours import comparable_css
from services.message.hiding import (
    concerns_sight,
    is_gone,
    is_shut,
    is_tiny,
    is_turned_away,
    is_valid,
)
from services.message.lengths import NUMBER, PIXELS

OF_THE_INK = "currentcolor"
"""The ground of a style that names the ink of the elements around it."""
_MAX_STYLE_CHARACTERS = 8 * 1024
_MAX_KEPT_CHARACTERS = 128

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
_COLOUR = re.compile(r"#[0-9a-f]{3,8}(?![\w-])|(?:rgb|hsl)a?\([\d\s.,%/+a-z-]{1,60}\)", re.IGNORECASE)
_URL = re.compile(r"url\([^)]*+\)?", re.IGNORECASE)
_WORD = re.compile(r"[a-z]{3,24}", re.IGNORECASE)
_NO_COLOURS = frozenset(
    ["none", "inherit", "initial", "unset", "revert", "repeat", "scroll", "fixed", "local", "center", "top", "bottom",
     "left", "right", "cover", "contain", "auto", "no", "url"]
)  # fmt: skip
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.DOTALL)

_VARIABLE = re.compile(r"var\(\s*(--[\w-]{1,80})\s*(?:,([^()]{0,200}))?\)")


@dataclass(frozen=True)
class Declarations:
    """The values of a style by property: the last valid value of each, in lower case, comments and escapes resolved."""

    normal: Mapping[str, str] = field(default_factory=dict)
    important: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def concerns_sight(self) -> bool:
        """The declarations may hide the element, alone or beside those of another style, or show it again."""
        return concerns_sight(self.normal) or concerns_sight(self.important)


@dataclass(frozen=True)
class Style:
    """How an element looks by its styles.

    Args:
        css: The declarations of its own style that stay.
        given: All declarations of the style, as they were read.
        is_gone: The element and all in it are not shown.
        is_shut: The same, if it is a box that clips.
        is_turned_away: The same, if it is no part of a line.
        is_seen: The meaning of `visibility`; None when the style has none.
        is_tiny: The text has no size that can be read; None when the size is that of the element around it.
        ink: The colour of the text, `inherit` when the style gives none, empty when it cannot be compared.
        ground: The colour behind it, in the same way; `OF_THE_INK` when it is that of the ink around it.
        display: The value of `display`, empty without one.
    """

    css: str = ""
    given: Declarations = Declarations()
    is_gone: bool = False
    is_shut: bool = False
    is_turned_away: bool = False
    is_seen: bool | None = None
    is_tiny: bool | None = None
    ink: str = "inherit"
    ground: str = "inherit"
    display: str = ""

    @cached_property
    def kept_ground(self) -> str:
        """The ground among the declarations that stay; empty without one."""
        return next((text[17:] for text in self.css.lower().split(";") if text.startswith("background-color:")), "")


@lru_cache(maxsize=4096)
def read_style(source: str) -> Style:
    """Reads an inline style: bounds its sizes, leaves out what acts, and tells what it hides.

    Args:
        source: The value of a `style` attribute; 8 Ki characters are read.
    """
    normal: dict[str, str] = {}
    important: dict[str, str] = {}
    kept: dict[str, str] = {}
    for declaration in without_comments(source[:_MAX_STYLE_CHARACTERS]).split(";"):
        name, colon, value = declaration.partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon or not value:
            continue
        meant, mark, _ = value.lower().partition("!")
        name_meant, meant = unescaped(name), unescaped(meant).strip()
        if is_valid(name_meant, meant):
            given = important if mark else normal
            if name_meant == "background":  # a shorthand resets what stands before it
                given.pop("background-color", None)
                given.pop("background-image", None)
            given[name_meant] = meant
        if name == "background":
            name, value = "background-color", _ground_of(value)
        if value and name in STYLES and not _ACTING.search(value) and _is_bounded(name, value.lower()):
            kept.pop(name, None)
            kept[name] = value
    css = ";".join(f"{name}:{value}" for name, value in kept.items())
    return look({**normal, **important}, css, Declarations(normal, important))


def look(given: Mapping[str, str], css: str, read: Declarations = Declarations()) -> Style:
    """Tells how an element looks.

    Args:
        given: The declarations that count for it, by property.
        css: Those of its own style that stay.
        read: Those of its own style.
    """
    if "var(" in "".join(given.values()):
        given = {name: _VARIABLE.sub(partial(_variable, given), value) for name, value in given.items()}
    return Style(
        css=css,
        given=read,
        is_gone=is_gone(given),
        is_shut=is_shut(given),
        is_turned_away=is_turned_away(given),
        is_seen=None if "visibility" not in given else given["visibility"] not in ("hidden", "collapse"),
        is_tiny=is_tiny(given),
        ink=comparable_css(given.get("-webkit-text-fill-color") or given.get("color", "inherit")),
        ground=_ground(given),
        display=given.get("display", ""),
    )


def _variable(given: Mapping[str, str], found: re.Match[str]) -> str:
    """The value of a custom property of the same element, else the one that stands beside it (CSS Variables 3)."""
    return given.get(found[1], found[2] or "")


def still(source: str) -> str:
    """Returns the declarations of an inline style that stay."""
    return _still(source) if len(source) <= _MAX_KEPT_CHARACTERS else read_style(source).css


@lru_cache(maxsize=32_768)
def _still(source: str) -> str:
    """Keeps the results of more styles than `read_style`: all of a mail are asked for again when it is cleaned."""
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
    for number, unit in NUMBER.findall(_COLOUR.sub("", value)):
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
            factor = 16.0 if name == "line-height" and not unit else PIXELS.get(unit, 16.0)
            is_small = size * factor <= _MAX_PIXELS.get(name, _MAX_BOX_PIXELS)
        if not is_small:
            return False
    return True


def _ground(given: Mapping[str, str]) -> str:
    """The ground, when it is one colour."""
    shorthand = given.get("background", "")
    picture = given.get("background-image", shorthand)
    if any(mark in picture for mark in ("url(", "gradient", "image-set(", "cross-fade(", "element(")):
        return ""
    colour = given.get("background-color") or _ground_of(shorthand)
    if not colour and "(" in shorthand:  # a function that the made HTML does not keep
        return comparable_css(shorthand)
    if colour == "currentcolor":
        colour = given.get("color", OF_THE_INK)
    if colour == OF_THE_INK:
        return OF_THE_INK
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
