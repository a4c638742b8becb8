"""Seal what a run stores: states, questions and answers. The value names the key that sealed it."""

import os
from pathlib import Path

from services.meshkit import sealing
from services.meshkit.secret import Secret
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
        self._keys = sealing.KeySet(_VARIABLE, keys)

    def seal(self, value: bytes, *owner: str) -> bytes:
        """Seal a value.

        Args:
            value: The plain bytes.
            owner: The names of the row and the column that the value belongs to; it opens there only.
        """
        first = self._keys.first
        return first.encode() + b":" + self._keys.seal(value, sealing.bound_to(_DOMAIN, first, *owner))

    def open(self, sealed: bytes, *owner: str) -> bytes:
        """Open a value that `seal` sealed for the same owner.

        Raises:
            KeyUnavailable: The key that sealed it is not loaded.
            SealBroken: It was altered, or belongs to another row.
        """
        name, _, content = sealed.partition(b":")
        key_id = name.decode("ascii", "replace")
        try:
            return self._keys.open(key_id, content, sealing.bound_to(_DOMAIN, key_id, *owner))
        except sealing.KeyMissingError as exc:
            raise KeyUnavailable(metadata={"key_id": key_id[:64]}) from exc
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
