"""Headers of a download, made of the names and media types that strangers chose."""

import re
from urllib.parse import quote

_ASCII_SAFE = re.compile(r"[^A-Za-z0-9 ._()\[\]+=@#-]")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
DEFAULT_TYPE = "application/octet-stream"


def disposition(name: str) -> str:
    """Return the Content-Disposition of a download (RFC 6266), in ASCII, for a name that is safe."""
    plain = _ASCII_SAFE.sub("_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def media_type(given: str) -> str:
    """Return a media type without parameters; `application/octet-stream` for anything else."""
    plain = given.partition(";")[0].strip().lower()
    return plain if _MEDIA_TYPE.fullmatch(plain) else DEFAULT_TYPE
