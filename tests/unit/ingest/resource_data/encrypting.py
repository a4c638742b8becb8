"""Encrypts resources as Graph does, by the steps of Microsoft's page and not by mailmesh's code."""

import base64
import hmac
import json
import os
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from services.ingest.webhooks.microsoft import EncryptedContent

CERTIFICATE_ID = "019a9f0e-7c1e-7000-8000-000000000011"


def encrypted(
    resource: Any,
    public: rsa.RSAPublicKey,
    *,
    key: bytes = b"",
    padded: bytes = b"",
    signing: bytes = b"",
    hashing: hashes.HashAlgorithm | None = None,
) -> EncryptedContent:
    """Return an encrypted resource.

    Args:
        resource: The object that becomes the JSON.
        public: The key of the certificate.
        key: The symmetric key; random by default.
        padded: The padded plain text, in place of the resource.
        signing: The key of the signature; by default the symmetric key.
        hashing: The hash of OAEP; SHA-1 by default.
    """
    key = key or os.urandom(32)
    text = json.dumps(resource).encode()
    count = 16 - len(text) % 16
    plain = padded or text + bytes([count]) * count
    encryptor = Cipher(algorithms.AES(key[:32].ljust(32, b"0")), modes.CBC(key[:16])).encryptor()
    data = encryptor.update(plain) + encryptor.finalize()
    signature = hmac.digest(signing or key, data, "sha256")
    algorithm = hashing or hashes.SHA1()  # noqa: S303 - Graph's choice
    wrapped = public.encrypt(key, padding.OAEP(padding.MGF1(algorithm), algorithm, label=None))
    return EncryptedContent(CERTIFICATE_ID, *(base64.b64encode(part).decode() for part in (data, wrapped, signature)))
