"""The one rule for text from outside: what neither PostgreSQL nor UTF-8 can hold is no text."""

import re
from typing import Final

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Return whether a text has neither the character U+0000 nor a lone surrogate.

    JSON can spell both. No column of PostgreSQL takes U+0000, and UTF-8 has no form for a surrogate.
    """
    return _UNSTORABLE.search(text) is None
