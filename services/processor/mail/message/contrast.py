"""Whether text can be read on a ground: the contrast of two colours (WCAG 2.1, 1.4.3)."""

from functools import lru_cache

_LEAST_CONTRAST = 3.0
"""The least contrast that WCAG asks for, which is the one for large text."""
_PAGE = "ffffff"
"""The ground of a program that shows a mail, unless the mail has one."""


@lru_cache(maxsize=1024)
def can_be_read(ink: str, ground: str) -> bool:
    """Tell whether ink stands out from its ground.

    Args:
        ink: Six hexadecimal digits. Any other colour counts as one that does not stand out.
        ground: Six hexadecimal digits, or empty for the page.
    """
    bright, dark = sorted((_luminance(ink), _luminance(ground or _PAGE)), reverse=True)
    return dark >= 0 and (bright + 0.05) / (dark + 0.05) >= _LEAST_CONTRAST


def _luminance(colour: str) -> float:
    """The relative luminance; -1 for what is no colour of six digits."""
    try:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    except ValueError:
        return -1.0
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)  # noqa: PLR2004
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
