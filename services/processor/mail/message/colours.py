"""Colours of styles and attributes: written in one form, and compared (CSS Color 4; WCAG 2.1, 1.4.3)."""

import colorsys
import re
from functools import lru_cache

from services.processor.mail.message.colour_names import NAMES

_FAINTEST = 0.02
_LIGHTNESS = re.compile(r"((?:ok)?l(?:ab|ch))\(\s*(\d{1,3}(?:\.\d{0,9})?)(%?)[\s,]")
_WHITE = 0.995
_DECIMAL = re.compile(r"\d+\.?\d*|\.\d+")
_SHARE = re.compile(r"\s*([+-]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})(?:e[+-]?\d{1,3})?)(%?)")
_LEAST_CONTRAST = 3.0
"""The least contrast that WCAG asks for, which is the one for large text."""
_PAGE = "ffffff"
"""The ground of a program that shows a mail, unless the mail has one."""


_SEEN_CONTRAST = 1.05
"""Below it, text cannot be told from its ground."""


def can_be_seen(ink: str, ground: str) -> bool:
    """Tell whether text can be told from its ground; colours that are not known count as different."""
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
    if colour in NAMES or colour in ("inherit", "transparent"):
        return NAMES.get(colour, colour)
    if colour.startswith("#"):
        digits = colour[1:]
        if len(digits) in (4, 8) and not digits[len(digits) * 3 // 4 :].strip("0"):
            return "transparent"
        return "".join(digit * 2 for digit in digits[:3]) if len(digits) in (3, 4) else digits[:6]
    if colour.startswith("rgb"):
        numbers = re.findall(r"[\d.]{1,6}%?", colour)[:4]
        if len(numbers) == 4 and is_faint(numbers[3]):  # noqa: PLR2004
            return "transparent"
        return "".join(
            f"{min(255, _channel(number)):02x}" for number in numbers[:3] if _DECIMAL.fullmatch(number.rstrip("%"))
        )
    return _of_hue(colour) if colour.startswith(("hsl", "hwb")) else _of_lightness(colour)


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
