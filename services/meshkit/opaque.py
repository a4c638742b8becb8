"""The text form of cursors and page tokens: base64url without padding.

Callers keep such strings for a long time and give them back, so the form is a promise. The bytes inside belong to the
module that writes them, with their version, their check and their bounds.
"""

import base64

MAX_CHARACTERS = 2048
"""The default for the longest string that is decoded."""


class NotOpaqueError(ValueError):
    """The string was not made by `encode`, or is too long."""


def encode(raw: bytes) -> str:
    """Write bytes as an opaque string."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str, max_characters: int = MAX_CHARACTERS) -> bytes:
    """Read the bytes of an opaque string.

    Args:
        text: A string that a caller gave back. Untrusted.
        max_characters: The longest string that is decoded.

    Raises:
        NotOpaqueError: The string is too long, or is no base64url.
    """
    if len(text) > max_characters:
        raise NotOpaqueError(f"has more than {max_characters} characters")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as exc:  # binascii.Error is one; so is a character outside of ASCII
        raise NotOpaqueError("is no base64url") from exc
