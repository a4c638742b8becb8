"""Declarations that hide their element, or leave its text without a size (CSS 2.2 11, Masking 1, Transforms 2)."""

import re
from collections.abc import Iterable, Mapping

from services.message.colours import is_faint
from services.message.lengths import NUMBER, PIXELS, pixels

_TINY_PIXELS = 2.0
_TINY_SHARE = 0.05
_FAR_AWAY_PIXELS = -300.0
_BESIDE_PIXELS = -30.0
"""A place beyond the upper or lower edge of the window, of text that does not scroll."""
_BESIDE_SHARE = -20.0
_BEYOND_PIXELS = 2000.0
"""The width of a wide window."""
_HEAPED_PIXELS = -100.0
_WHOLE = 100.0
_WHOLE_WINDOW = frozenset(("100vh", "100vw", "100dvh", "100svh", "100lvh"))
_OVERFLOWS = ("overflow", "overflow-x", "overflow-y")
_CLIPPING = frozenset(("hidden", "clip", "scroll", "auto"))
_HEIGHTS = ("max-height", "height", "max-block-size", "block-size")
_WIDTHS = ("max-width", "width", "max-inline-size", "inline-size")
_EDGES = ("top", "right", "bottom", "left")
_PLACED = ("absolute", "fixed", "relative", "sticky")
_GOING = frozenset(
    ("clip-path", "display", "filter", "letter-spacing", "margin", "margin-left", "mso-hide", "opacity", "padding-left",
     "position")
)  # fmt: skip
_SHUTTING = frozenset((*_OVERFLOWS, "contain"))
_TURNING = frozenset(
    ("content-visibility", "margin", "margin-top", "rotate", "scale", "text-indent", "transform", "translate")
)
_CONCERNING = frozenset(
    (*_OVERFLOWS, *_HEIGHTS, *_WIDTHS, *_EDGES, "background", "background-color", "background-image", "clip",
     "clip-path", "color", "contain", "content-visibility", "display", "filter", "font", "font-size", "inset",
     "letter-spacing", "line-height", "margin", "margin-left", "margin-top", "mso-hide", "opacity", "padding",
     "padding-bottom", "padding-left", "padding-right", "position", "rotate", "scale", "text-indent", "transform",
     "translate", "visibility", "white-space", "zoom", "-webkit-text-fill-color")
)  # fmt: skip
_SIZES_OF_PARENT = frozenset(("inherit", "unset", "larger", "smaller"))
_LENGTH = r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:e[+-]?\d++)?+(?:%|[a-z]+)?"
_GLOBAL = "inherit|initial|unset|revert"
_VALID = {
    "display": re.compile(
        rf"{_GLOBAL}|none|contents|(?:block|inline|run-in|flow|flow-root|table|flex|grid|ruby|list-item|math|-webkit-box)"
        r"(?:[ -](?:flow|flow-root|table|flex|grid|ruby|block|list-item|row|cell|column|caption|text|base|footer-group|"
        r"header-group|row-group|column-group))*|-webkit-(?:inline-)?(?:box|flex)|-moz-[a-z-]+|-ms-[a-z-]+"
    ),
    "visibility": re.compile(rf"{_GLOBAL}|visible|hidden|collapse"),
    "opacity": re.compile(rf"{_GLOBAL}|{_LENGTH}"),
    "font-size": re.compile(rf"{_GLOBAL}|{_LENGTH}|larger|smaller|medium|(?:xx-|x-|xxx-)?(?:small|large)"),
    "overflow": re.compile(rf"(?:(?:{_GLOBAL}|visible|hidden|clip|scroll|auto|overlay)\s*)+"),
    "position": re.compile(rf"{_GLOBAL}|static|relative|absolute|fixed|(?:-webkit-)?sticky"),
}
_OPACITY = re.compile(r"(?<![\w-])(?:opacity\(\s*([\d.]{1,9}%?)|alpha\(\s*opacity\s*=\s*([\d.]{1,9}))")
_MOVED = re.compile(r"(?<=[(,\s])-\d[\w.]*+(?!%)")
_MOVED_ON = re.compile(r"translate(?:3d|[xy])?\(\s*(\d[\w.]*+)(?!%)")
_MOVED_WHOLE = re.compile(r"(?:translatex?\(\s*|\A)-(?:[1-9]\d{2,4})(?:\.\d+)?%")
_SCALES = re.compile(r"scale(?:3d|[xy])?\(([^)]{1,80})\)")
_TURNED = re.compile(r"[xy]\s*(?:90|270)deg")
_FLAT = re.compile(r"matrix\(\s*0\s*(?:,\s*0\s*){3},|rotate[xy]\(\s*(?:90|270)deg\s*\)")
_CLIPPED_AWAY = re.compile(
    r"inset\((?:5\d|[6-9]\d|\d{3,})(?:\.\d+)?%|inset\(\d{4,}px|circle\(0(?![.\d])|ellipse\(0(?:0|px|%)*+(?:\)|at)"
    r"|polygon\((?:(?:evenodd|nonzero),)?(?:0(?:px|%)?)+(?:,(?:0(?:px|%)?)+)*\)|rect\((?:0(?:px)?)++\)|path\(['\"]{2}\)"
)
_SIZE = re.compile(r"\d{0,6}\.?\d{0,6}(?:px|pt|em|rem|%)|0")


def concerns_sight(names: Iterable[str]) -> bool:
    """Tells whether properties may hide their element, alone or beside those of another style, or show it again."""
    return not _CONCERNING.isdisjoint(names)


def is_valid(name: str, value: str) -> bool:
    """Tells whether a browser takes a value: one that it does not know leaves the one before it in force."""
    form = _VALID.get(name)
    return form is None or "(" in value or form.fullmatch(value) is not None


def is_gone(given: Mapping[str, str]) -> bool:
    """Tells whether an element and all in it are not shown, whatever an inner element says."""
    if _GOING.isdisjoint(given):
        return False
    display = given.get("display", "")
    if display == "none" or (given.get("mso-hide") == "all" and not display):
        return True
    if _is_faded(given) or (pixels(given.get("letter-spacing", "")) or 0.0) <= _HEAPED_PIXELS:
        return True
    places, beyond = [given.get("margin-left", "")], [given.get("margin-left", ""), given.get("padding-left", "")]
    margin = given.get("margin", "").split()
    if "margin-left" not in given and margin:
        places.append(margin[3] if len(margin) == len(_EDGES) else margin[1 % len(margin)])
    if given.get("margin-left", "").endswith("%") and _percent(given["margin-left"]) >= _WHOLE:
        return True
    return _is_away(places, beyond) or (given.get("position") in _PLACED and _is_placed_away(given))


def _is_faded(given: Mapping[str, str]) -> bool:
    filtered = _OPACITY.search(given.get("filter", ""))
    shares = [given.get("opacity", "1"), (filtered[1] or filtered[2]) if filtered else "1"]
    return any(map(is_faint, shares)) or bool(_CLIPPED_AWAY.match("".join(given.get("clip-path", "").split())))


def is_shut(given: Mapping[str, str]) -> bool:
    """Tells whether an element, if it is a box, clips all that is in it."""
    if _SHUTTING.isdisjoint(given) or not _clips(given):
        return False
    has_no_height = (
        any(_is_no_length(given.get(name, "")) for name in _HEIGHTS) and not _has_padding(given, "bottom")
    ) or _is_no_length(given.get("line-height", ""))
    has_no_width = any(
        _is_no_length(given.get(name, "").replace("0%", "0px")) for name in _WIDTHS
    ) and not _has_padding(given, "right")
    return has_no_height or has_no_width or _is_indented_away(given) or "size" in given.get("contain", "")


def is_turned_away(given: Mapping[str, str]) -> bool:
    """Tells whether an element, if it is no part of a line, is moved out of sight or has no extent."""
    if _TURNING.isdisjoint(given):
        return False
    if given.get("content-visibility") == "hidden":
        return True
    transform, moved = given.get("transform", ""), given.get("translate", "")
    margin = given.get("margin", "").split()
    places = [given.get("text-indent", ""), given.get("margin-top", margin[0] if margin else "")]
    places += _MOVED.findall(transform) + _MOVED.findall(f" {moved}")
    if _is_away(places, [*_MOVED_ON.findall(transform), *_MOVED_ON.findall(f"translate({moved})")]):
        return True
    if given.get("position") not in _PLACED and (_MOVED_WHOLE.search(transform) or _MOVED_WHOLE.match(moved)):
        return True
    scales = [given.get("scale", "").split(), *(found.split(",")[:2] for found in _SCALES.findall(transform))]
    if any(is_faint(scale.strip() or "1") for found in scales for scale in found) or _FLAT.search(transform):
        return True
    return bool(
        _FLAT.search(f"rotate{''.join(given.get('rotate', '').split()).replace('y', 'y(').replace('x', 'x(')})")
    )


def _clips(given: Mapping[str, str]) -> bool:
    values = [word for name in _OVERFLOWS if name in given for word in given[name].split()]
    return any(word in _CLIPPING for word in values) or any(
        word in given.get("contain", "").split() for word in ("paint", "strict", "content")
    )


def _is_no_length(value: str) -> bool:
    size = pixels(value)
    return size is not None and size < _TINY_PIXELS and "%" not in value


def _has_padding(given: Mapping[str, str], edge: str) -> bool:
    """Tells whether a box has room within its edge, where what does not fit is seen."""
    padding = given.get("padding", "").split()
    place = _EDGES.index(edge) % len(padding) if padding else 0
    if padding and len(padding) == len(_EDGES) - 1 and edge == "left":
        place = 1
    value = given.get(f"padding-{edge}", padding[place] if padding else "")
    return (pixels(value) or 0.0) >= _TINY_PIXELS


def _is_indented_away(given: Mapping[str, str]) -> bool:
    """All text begins beyond the right edge of a box that clips; on further lines it would be seen."""
    indent = given.get("text-indent", "")
    if given.get("white-space") not in ("nowrap", "pre") or not indent:
        return False
    size = pixels(indent) or 0.0
    return _percent(indent) >= _WHOLE if indent.endswith("%") else size >= _BEYOND_PIXELS


def _percent(value: str) -> float:
    number = NUMBER.match(value)
    return float(number[1]) if number and number[1] else 0.0


def _is_placed_away(given: Mapping[str, str]) -> bool:
    """Tells whether an element that leaves its place is out of sight, or clipped to nothing."""
    places = [given.get(name, "") for name in _EDGES] + given.get("inset", "").split()
    beyond = [given.get("left", "")]
    if given["position"] == "fixed":
        if _is_beside_the_window(given):
            return True
        beyond += (given.get("top", ""), *(given.get(name, "") for name in ("right", "bottom")))
    if given["position"] in ("absolute", "fixed"):
        beyond += (given.get("right", ""), given.get("bottom", ""))  # nothing scrolls to the left or upwards
        if _is_cut_to_nothing(given.get("clip", "")):
            return True
        if any(_percent(given[name]) <= -_WHOLE for name in ("left", "top") if given.get(name, "").endswith("%")):
            return True
    return _is_away(places, beyond)


def _is_beside_the_window(given: Mapping[str, str]) -> bool:
    """Tells whether an element that does not scroll stands above or below the window, or begins at its far edges."""
    inset = given.get("inset", "").split()
    for place, name in enumerate(_EDGES):
        value = given.get(name, inset[place % len(inset)] if inset and name != "left" else "")
        is_share = value.endswith("%")
        if (is_share and _percent(value) >= _WHOLE) or value in _WHOLE_WINDOW:
            return True
        size = _percent(value) if is_share else pixels(value) or 0.0
        if name in ("top", "bottom") and size <= (_BESIDE_SHARE if is_share else _BESIDE_PIXELS):
            return True
    return False


def _is_away(places: Iterable[str], beyond: Iterable[str]) -> bool:
    """Tells whether a length leads far to the left or upwards, or another one farther than any window is wide."""
    if any(place and (size := pixels(place)) is not None and size <= _FAR_AWAY_PIXELS for place in places):
        return True
    return any((pixels(place) or 0.0) >= _BEYOND_PIXELS for place in beyond if place and not place.endswith("%"))


def _is_cut_to_nothing(clip: str) -> bool:
    """Tells whether `clip: rect(top, right, bottom, left)` leaves less than two pixels of a side (CSS 2.2 11.1.2)."""
    sides = [pixels(side) for side in clip.removeprefix("rect(").rstrip(")").replace(",", " ").split()]
    if not clip.startswith("rect(") or len(sides) != len(("top", "right", "bottom", "left")):
        return False
    top, right, bottom, left = sides
    is_low = bottom is not None and bottom - (top or 0.0) < _TINY_PIXELS
    return is_low or (right is not None and right - (left or 0.0) < _TINY_PIXELS)


def is_tiny(given: Mapping[str, str]) -> bool | None:
    """Tells whether text has no size that can be read; None when its size is that of the element around it."""
    zoom = given.get("zoom", "")
    if zoom and is_faint(zoom) and _percent(zoom) > 0:  # browsers take none at all for a mistake
        return True
    value = given.get("font-size", "")
    if not value and "font" in given:
        value = next((word for word in given["font"].split("/")[0].split() if _SIZE.fullmatch(word)), "")
    value = value.removeprefix("calc(").lstrip("( ")
    number = NUMBER.match(value)
    if not number or not number[1]:
        return None if not value or value in _SIZES_OF_PARENT else False
    size, unit = float(number[1]), number[2].lower()
    share = size / 100 if unit == "%" else size / 2 if unit in ("ex", "ch") else size
    if unit in ("%", "em", "ex", "ch"):  # of the size around it, which may be none
        return True if share <= _TINY_SHARE else None
    return size * PIXELS.get(unit, 16.0) < _TINY_PIXELS
