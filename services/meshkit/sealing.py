"""Seal values by AES-256-GCM: a version, a random nonce, and the ciphertext with its tag.

The owner of a value is part of the associated data, so a value that moves to another row or column does not open.
"""

import base64
import binascii
import os
import re
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.meshkit.secret import Secret
from services.meshkit.settings import SettingsError

KEY_BYTES = 32
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_VERSION = b"\x01"
_NONCE_BYTES = 12


class SealError(Exception):
    """A sealed value was altered, or the key or the binding differs."""


class KeyMissingError(Exception):
    """The key that sealed a value is not loaded."""


class KeySet:
    """The keys of a service, by id; the first one seals. They live in memory only.

    Args:
        variable: The name of the setting, for messages.
        keys: From `read_keys`.
        need: The end of the message about a missing key.

    Raises:
        SettingsError: There is no key.
    """

    def __init__(self, variable: str, keys: dict[str, bytes], need: str = "one key is needed") -> None:
        if not keys:
            raise SettingsError([f"{variable} is not set, nor {variable}_FILE: {need}."])
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self.first = next(iter(keys))
        """The id of the key that seals."""

    def __repr__(self) -> str:
        return f"KeySet(ids={tuple(self._ciphers)})"

    def seal(self, value: bytes, bound: bytes) -> bytes:
        """Seal a value by the first key, whose id should be part of `bound`."""
        return seal(self._ciphers[self.first], value, bound)

    def open(self, key_id: str, sealed: bytes, bound: bytes) -> bytes:
        """Open a value that a key sealed.

        Raises:
            KeyMissingError: That key is not loaded.
            SealError: The value was altered, or the key or the binding differs.
        """
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyMissingError(key_id)
        return open_sealed(cipher, sealed, bound)


def seal(cipher: AESGCM, value: bytes, bound: bytes) -> bytes:
    """Seal a value.

    Args:
        cipher: The key.
        value: The plain bytes.
        bound: The owner of the value, from `bound_to`.
    """
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + nonce + cipher.encrypt(nonce, value, bound)


def open_sealed(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    """Open a value that `seal` sealed.

    Raises:
        SealError: It was altered, or the key or the binding differs.
    """
    if sealed[:1] != _VERSION:
        raise SealError("sealed by an unknown version")
    start = 1 + _NONCE_BYTES
    try:
        return cipher.decrypt(sealed[1:start], sealed[start:], bound)
    except (InvalidTag, ValueError) as exc:
        raise SealError("does not open") from exc


def bound_to(domain: str, *parts: str) -> bytes:
    """Encode associated data so that no two lists of parts look alike."""
    encoded = (part.encode() for part in (domain, *parts))
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def read_keys(variable: str, keys: Secret | None, keys_file: Path | None) -> dict[str, bytes]:
    """Read keys by id, in the order of the settings: `id:key`, with 32 random bytes in base64 as the key.

    Args:
        variable: The name of the setting, for messages.
        keys: The entries from the environment, separated by commas.
        keys_file: A file with one entry a line. Empty lines and lines that begin with # are ignored.

    Raises:
        SettingsError: A key is unreadable. The message repeats no key.
    """
    entries = keys.reveal().split(",") if keys else []
    if keys_file is not None:
        try:
            entries += keys_file.read_text("utf-8").splitlines()
        except OSError as exc:
            raise SettingsError([f"{variable}_FILE cannot be read: {exc.strerror}."]) from exc
    wanted = [entry.strip() for entry in entries if entry.strip() and not entry.strip().startswith("#")]
    return dict(_parsed(variable, wanted))


def _parsed(variable: str, entries: list[str]) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        key_id, colon, encoded = entry.partition(":")
        if not colon or not _KEY_ID.fullmatch(key_id) or key_id in seen:
            raise SettingsError([f"{variable}: entry {number} needs an id of its own before a colon."])
        seen.add(key_id)
        yield key_id, _decoded(variable, key_id, encoded)


def _decoded(variable: str, key_id: str, encoded: str) -> bytes:
    text = encoded.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as exc:
        raise SettingsError([f"{variable}: key {key_id} is not base64."]) from exc
    if len(key) != KEY_BYTES:
        raise SettingsError([f"{variable}: key {key_id} has {len(key)} bytes and needs {KEY_BYTES}."])
    return key
