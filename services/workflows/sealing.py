"""Seal what a run stores: states, questions and answers. The value names the key that sealed it."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.meshkit import sealing
from services.meshkit.secret import Secret
from services.meshkit.settings import SettingsError
from services.workflows.errors import KeyUnavailable, SealBroken

_VARIABLE = "MAILMESH_WORKFLOWS_KEYS"
_DOMAIN = "mailmesh.workflows"


class Cipher:
    """Seals and opens values of runs.

    Args:
        keys: Keys by id; the first one seals.

    Raises:
        SettingsError: There is no key.
    """

    def __init__(self, keys: dict[str, bytes]) -> None:
        if not keys:
            raise SettingsError([f"{_VARIABLE} is not set, nor {_VARIABLE}_FILE: one key is needed."])
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._first = next(iter(keys))

    def __repr__(self) -> str:
        return f"Cipher(ids={tuple(self._ciphers)})"

    def seal(self, value: bytes, *owner: str) -> bytes:
        """Seal a value.

        Args:
            value: The plain bytes.
            owner: The names of the row and the column that the value belongs to; it opens there only.
        """
        bound = sealing.bound_to(_DOMAIN, self._first, *owner)
        return self._first.encode() + b":" + sealing.seal(self._ciphers[self._first], value, bound)

    def open(self, sealed: bytes, *owner: str) -> bytes:
        """Open a value that `seal` sealed for the same owner.

        Raises:
            KeyUnavailable: The key that sealed it is not loaded.
            SealBroken: It was altered, or belongs to another row.
        """
        name, _, content = sealed.partition(b":")
        key_id = name.decode("ascii", "replace")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyUnavailable(metadata={"key_id": key_id[:64]})
        try:
            return sealing.open_sealed(cipher, content, sealing.bound_to(_DOMAIN, key_id, *owner))
        except sealing.SealError as exc:
            raise SealBroken from exc


def cipher_of(keys: Secret | None, keys_file: Path | None, *, is_needed: bool) -> Cipher:
    """Read the keys of the settings.

    Args:
        keys: Keys in the environment, or None.
        keys_file: Their file, or None.
        is_needed: Whether there are workflows. Without any nothing is sealed, and a random key takes the place of none.

    Raises:
        SettingsError: A key is missing or unreadable.
    """
    found = sealing.read_keys(_VARIABLE, keys, keys_file)
    if not found and not is_needed:
        return Cipher({"none": os.urandom(sealing.KEY_BYTES)})
    return Cipher(found)
