"""File names that strangers chose, made safe for a person who saves the file."""

import re
import unicodedata

_CHARACTERS = 150
_FORBIDDEN = re.compile(r'[/\\:*?"<>|]')
# Windows reserves them, with any extension (Naming Files, Paths, and Namespaces).
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


def safe_name(name: str, default: str = "attachment") -> str:
    """Return a file name without a path, without characters that act or deceive, of at most 150 characters."""
    normal = unicodedata.normalize("NFC", name[:4096])
    # Category C: controls, marks of direction, surrogates, private characters.
    visible = "".join(character for character in normal if unicodedata.category(character)[0] != "C")
    plain = " ".join(_FORBIDDEN.sub("_", visible).split()).strip(". ")
    if len(plain) > _CHARACTERS:
        stem, dot, extension = plain.rpartition(".")
        tail = f"{dot}{extension}" if stem and len(extension) <= 10 else ""  # noqa: PLR2004 - longer ones are none
        plain = plain[: _CHARACTERS - len(tail)].rstrip(". ") + tail
    if not plain:
        return default
    return f"_{plain}" if _DEVICES.fullmatch(plain) else plain
