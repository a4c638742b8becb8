"""Verifies the webhooks of mailmesh: Standard Webhooks, `v1` and `v1a`."""

import base64
import binascii
import hmac
import re
import time
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE_SECONDS = 300
WEBHOOK_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
TIMESTAMP = re.compile(r"[1-9][0-9]{0,11}")
MOST_CHARACTERS = 4096


def verify_webhook(keys: Sequence[str], headers: Mapping[str, str], body: bytes, now: float | None = None) -> str:
    """Return the refusal of a webhook, or "accepted".

    Args:
        keys: `whsec_...` and `whpk_...` that you trust; during a rotation, the new and the old one.
        headers: The request's headers, names in lower case.
        body: The bytes as received, before any parsing.
        now: Seconds since 1970; by default the machine's clock.

    Returns:
        "accepted", "header_missing", "header_invalid", "too_old", "too_new" or "signature_wrong".

    Raises:
        binascii.Error: A key is no base64.
    """
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    webhook_id, timestamp, signatures = (headers.get(name, "") for name in names)
    if not (webhook_id and timestamp and signatures):
        return "header_missing"
    if not WEBHOOK_ID.fullmatch(webhook_id) or not TIMESTAMP.fullmatch(timestamp) or len(signatures) > MOST_CHARACTERS:
        return "header_invalid"
    age = (time.time() if now is None else now) - int(timestamp)
    if abs(age) > TOLERANCE_SECONDS:
        return "too_old" if age > 0 else "too_new"
    content = f"{webhook_id}.{timestamp}.".encode() + body
    entries = [entry.partition(",") for entry in signatures.split(" ")]
    is_signed = any(_matches(key, version, text, content) for version, _, text in entries for key in keys)
    return "accepted" if is_signed else "signature_wrong"


def _matches(key: str, version: str, text: str, content: bytes) -> bool:
    """Return whether a signature is a key's. A `whpk_` key never serves as a shared key: everybody may know it."""
    form, _, encoded = key.partition("_")
    raw = base64.b64decode(encoded, validate=True)
    try:
        signature = base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    if (form, version) == ("whsec", "v1"):
        return hmac.compare_digest(hmac.digest(raw, content, "sha256"), signature)
    if (form, version) != ("whpk", "v1a"):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, content)
    except InvalidSignature:
        return False
    return True
