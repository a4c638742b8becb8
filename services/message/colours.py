"""Colours of styles and attributes: written in one form, and compared (CSS Color 4; WCAG 2.1, 1.4.3)."""

import colorsys
import re
from functools import lru_cache

from services.message.colour_names import NAMES, SYSTEM

_WORDS = {**NAMES, **SYSTEM, "inherit": "inherit", "transparent": "transparent"}
_FAINTEST = 0.02
_LIGHTNESS = re.compile(r"((?:ok)?l(?:ab|ch))\(\s*(\d{1,3}(?:\.\d{0,9})?)(%?)[\s,]")
_SPACE = re.compile(
    r"color\(\s*(srgb|srgb-linear|display-p3|a98-rgb|rec2020)"
    r"\s+(\d{0,3}\.?\d{1,9}%?)\s+(\d{0,3}\.?\d{1,9}%?)\s+(\d{0,3}\.?\d{1,9}%?)\s*(?:/\s*([\d.]{1,12}%?)\s*)?\)"
)
_WHITE = 0.995
_DECIMAL = re.compile(r"\d+\.?\d*|\.\d+")
_SHARE = re.compile(r"\s*([+-]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})(?:e[+-]?\d{1,3})?)(%?)")
_LEAST_CONTRAST = 3.0
"""The least contrast that WCAG asks for, which is the one for large text."""
_PAGE = "ffffff"
"""The ground of a program that shows a mail, unless the mail has one."""


_SEEN_CONTRAST = 1.05
"""Below it, text cannot be distinguished from its ground."""


def can_be_seen(ink: str, ground: str) -> bool:
    """Return whether text can be distinguished from its ground; colours that are not known count as different."""
    contrast = _contrast(ink, ground) if ink and ground else 0.0
    return not 0 < contrast < _SEEN_CONTRAST


def can_be_read(ink: str, ground: str) -> bool:
    """Tell whether ink stands out from its ground.

    Args:
        ink: Six hexadecimal digits. Any other colour counts as one that does not stand out.
        ground: Six hexadecimal digits, or empty for the page.
    """
    return _contrast(ink, ground or _PAGE) >= _LEAST_CONTRAST


@lru_cache(maxsize=1024)
def _contrast(ink: str, ground: str) -> float:
    """The contrast ratio, from 1 to 21; 0 when one is no colour of six digits."""
    bright, dark = sorted((_luminance(ink), _luminance(ground)), reverse=True)
    return (bright + 0.05) / (dark + 0.05) if dark >= 0 else 0.0


def _luminance(colour: str) -> float:
    """The relative luminance; -1 for what is no colour of six digits."""
    try:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    except ValueError:
        return -1.0
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)  # noqa: PLR2004
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def comparable(colour: str) -> str:
    """Returns a colour of an attribute (`bgcolor`, `color`) in the form of `Style.ink`."""
    value = colour.strip().lower()
    return comparable_css(value if not re.fullmatch(r"[0-9a-f]{6}", value) else f"#{value}")


def comparable_css(colour: str) -> str:
    """Six hexadecimal digits, or `transparent`; empty for a colour that is written in another way."""
    if colour in _WORDS:
        return _WORDS[colour]
    if colour.startswith("#"):
        return _of_digits(colour[1:])
    if colour.startswith("rgb"):
        return _of_rgb(colour)
    if colour.startswith(("hsl", "hwb")):
        return _of_hue(colour)
    return _of_space(colour) if colour.startswith("color(") else _of_lightness(colour)


def _of_digits(digits: str) -> str:
    if len(digits) in (4, 8) and not digits[len(digits) * 3 // 4 :].strip("0"):
        return "transparent"
    return "".join(digit * 2 for digit in digits[:3]) if len(digits) in (3, 4) else digits[:6]


def _of_rgb(colour: str) -> str:
    numbers = re.findall(r"[\d.]{1,6}%?", colour)[:4]
    if len(numbers) == 4 and is_faint(numbers[3]):  # noqa: PLR2004
        return "transparent"
    return "".join(
        f"{min(255, _channel(number)):02x}" for number in numbers[:3] if _DECIMAL.fullmatch(number.rstrip("%"))
    )


def _of_space(colour: str) -> str:
    """A colour of `color()` in the space of screens; that of another one where it is the same, in black and white."""
    found = _SPACE.match(colour)
    if not found:
        return ""
    if found[5] and is_faint(found[5]):
        return "transparent"
    shares = [float(part[:-1]) / 100 if part.endswith("%") else float(part) for part in found.group(2, 3, 4)]
    if found[1] != "srgb" and not all(share >= 1 for share in shares) and any(shares):
        return ""
    return "".join(f"{round(255 * min(1.0, share)):02x}" for share in shares)


def _of_lightness(colour: str) -> str:
    """White or black of a colour in `lab`, `lch` and the like whose lightness is at an end, whatever its hue."""
    found = _LIGHTNESS.match(colour)
    if not found:
        return ""
    share = float(found[2]) / (1 if found[1].startswith("ok") and not found[3] else 100)
    return "ffffff" if share >= _WHITE else "000000" if share <= 1 - _WHITE else ""


def _channel(number: str) -> int:
    return round(float(number[:-1]) * 2.55) if number.endswith("%") else int(float(number))


def _of_hue(colour: str) -> str:
    numbers = [float(number) for number in re.findall(r"\d{1,4}(?:\.\d{1,6})?", colour)[:4]]
    if len(numbers) < 3:  # noqa: PLR2004
        return ""
    if len(numbers) == 4 and numbers[3] < _FAINTEST:  # noqa: PLR2004
        return "transparent"
    hue, first, second = numbers[0] % 360 / 360, min(100.0, numbers[1]) / 100, min(100.0, numbers[2]) / 100
    if colour.startswith("hwb"):
        first, second = (first / (first + second), second / (first + second)) if first + second > 1 else (first, second)
        parts = tuple(part * (1 - first - second) + first for part in colorsys.hls_to_rgb(hue, 0.5, 1.0))
    else:
        parts = colorsys.hls_to_rgb(hue, second, first)
    return "".join(f"{round(part * 255):02x}" for part in parts)


def is_faint(value: str) -> bool:
    """Tell whether an opacity, as a number or in percent, leaves nothing to be seen."""
    share = _SHARE.match(value)
    return share is not None and float(share[1]) / (100 if share[2] else 1) < _FAINTEST
