"""Makes text from outside harmless to a terminal. Subjects and names come from strangers.

A terminal obeys some characters instead of showing them: an escape sequence sets the clipboard or clears the screen, a
bidirectional control shows `exe.txt` for `txt.exe`, a line break forges a line of ours.
"""

import re

from rich.console import Console
from rich.text import Text

from services.meshkit.text import ACTING_ABOVE_C0, visible

_ACTING_IN_JSON = re.compile(f"[{ACTING_ABOVE_C0}]")

Part = str | tuple[str, str]
"""Text as it is, or text with a style of rich."""


def visible_json(document: str) -> str:
    """Returns a JSON document with the same value in which no character acts.

    Args:
        document: From `json.dumps`, which has escaped the characters below U+0020 inside strings already.
    """
    return _ACTING_IN_JSON.sub(lambda found: _json_escape(found.group()), document)


def line(*parts: Part) -> Text:
    """Returns a line for `Console.print`; no part is read as markup or as the name of an emoji."""
    return Text.assemble(*(visible(part) if isinstance(part, str) else (visible(part[0]), part[1]) for part in parts))


def paragraph(text: str, style: str = "") -> Text:
    """Returns a text of several lines, such as the end of a log: its line breaks stay, everything else is visible."""
    return Text("\n").join(line((part, style)) for part in text.split("\n"))


def plain_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Returns a console that reads no markup and no names of emoji in strings."""
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def _json_escape(character: str) -> str:
    if ord(character) <= 0xFFFF:  # noqa: PLR2004 - one code unit
        return f"\\u{ord(character):04x}"
    units = character.encode("utf-16-be")
    return f"\\u{units[:2].hex()}\\u{units[2:].hex()}"
