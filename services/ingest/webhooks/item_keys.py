"""The keys by which the inbox recognises a repeated notification."""

import hashlib
from typing import Final

KEY_BYTES: Final = 16


def digest_key(tenant_id: str, *parts: str) -> str:
    """Return the key by which a repeat is recognized, as a UUID: equal parts have equal keys.

    Args:
        tenant_id: The tenant; an item of one tenant is never a repeat of another tenant's item.
        parts: The properties that make two items equal.
    """
    digest = hashlib.blake2b(tenant_id.encode(), digest_size=KEY_BYTES)
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.hexdigest()
