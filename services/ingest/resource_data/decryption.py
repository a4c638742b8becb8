"""Decrypts resource data, as Microsoft Graph describes it ("Change notifications with resource data").

A fault of the key, the signature, the padding or the text is one failure, found in one way: who sends a content that
does not open learns nothing about where it failed.
"""

import base64
import binascii
import hmac
import os
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from services.ingest.webhooks.microsoft import EncryptedContent
from services.ingest.webhooks.untrusted_json import UnreadableError, parse_object
from services.meshkit.errors import FieldInvalid

_KEY_BYTES: Final = 32
_IV_BYTES: Final = 16
# Graph encrypts by OAEP with SHA-1, of the label and of the mask; neither use of SHA-1 needs it to resist collisions.
_OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), label=None)  # noqa: S303 - Graph's choice


class ContentRefusedError(Exception):
    """The content does not open. It never says why."""


def decrypt(content: EncryptedContent, private_key: rsa.RSAPrivateKey) -> dict[str, Any]:
    """Decrypt a resource.

    Args:
        content: The content; untrusted.
        private_key: The key of its certificate.

    Returns:
        The resource's JSON object.

    Raises:
        ContentRefusedError: It does not open, for whatever cause.
    """
    try:
        data, wrapped, signature = (
            base64.b64decode(text, validate=True) for text in (content.data, content.data_key, content.signature)
        )
    except (binascii.Error, ValueError):
        raise ContentRefusedError from None
    key = _unwrapped(wrapped, private_key)
    # Nothing is decrypted before the signature holds, so no padding of a stranger's choice is ever tried.
    if not hmac.compare_digest(hmac.digest(key, data, "sha256"), signature):
        raise ContentRefusedError
    try:
        return parse_object(_plain(data, key))
    except (ValueError, UnreadableError, FieldInvalid):
        raise ContentRefusedError from None


def _unwrapped(wrapped: bytes, private_key: rsa.RSAPrivateKey) -> bytes:
    """Return the key of the data, or a random one, under which no signature holds."""
    instead = os.urandom(_KEY_BYTES)
    try:
        key = private_key.decrypt(wrapped, _OAEP)
    except ValueError:
        return instead
    return key if len(key) == _KEY_BYTES else instead


def _plain(data: bytes, key: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:_IV_BYTES])).decryptor()
    unpadder = PKCS7(algorithms.AES.block_size).unpadder()
    padded = decryptor.update(data) + decryptor.finalize()
    return unpadder.update(padded) + unpadder.finalize()
