"""Lengths of styles in pixels (CSS Values 4, 6)."""

import re

NUMBER = re.compile(r"#[0-9a-z]++|([+-]?(?:\d++(?:\.\d*+)?+|\.\d++)(?:e[+-]?\d++)?+)(%|[a-z]*+)", re.IGNORECASE)
PIXELS = {
    "": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 37.8, "mm": 3.78, "q": 0.945, "em": 16.0,
    "rem": 16.0, "ex": 8.0, "ch": 8.0, "vw": 20.0, "vh": 20.0, "vmin": 20.0, "vmax": 20.0,
}  # fmt: skip


def pixels(value: str) -> float | None:
    """Returns the first length of a value in pixels; None when it begins with none."""
    number = NUMBER.match(value.removeprefix("calc(").lstrip("( "))
    if not number or not number[1]:
        return None
    return float(number[1]) * PIXELS.get(number[2].lower(), 16.0)
