"""Names and media types of files that strangers chose, made safe for the one who downloads them."""

import re
import unicodedata
from urllib.parse import quote

_CHARACTERS = 150
_FORBIDDEN = re.compile(r'[/\\:*?"<>|]')
_ASCII_SAFE = re.compile(r"[^A-Za-z0-9 ._()\[\]+=@#-]")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
# Windows reserves them, with any extension (Naming Files, Paths, and Namespaces).
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
DEFAULT_TYPE = "application/octet-stream"


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


def disposition(name: str) -> str:
    """Return the Content-Disposition of a download (RFC 6266), in ASCII, for a name that is safe."""
    plain = _ASCII_SAFE.sub("_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def media_type(given: str) -> str:
    """Return a media type without parameters; `application/octet-stream` for anything else."""
    plain = given.partition(";")[0].strip().lower()
    return plain if _MEDIA_TYPE.fullmatch(plain) else DEFAULT_TYPE
