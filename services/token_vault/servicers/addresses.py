"""Mail addresses in requests."""

import re

_CHARACTERS = 320
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


def is_address(text: str) -> bool:
    """Tell whether a text can be a mail address; the provider knows whether it is one."""
    return len(text) <= _CHARACTERS and _ADDRESS.fullmatch(text) is not None
