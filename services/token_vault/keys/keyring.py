"""The key-encryption keys of this process: read from the environment or from a file, never stored.

    MAILMESH_VAULT_KEYS=2026-11:3q2-7w...,2026-05:AAAB...

Each entry is `id:key`, with 32 random bytes in base64 as the key. A file has one entry a line. A rotation goes to the
first key; the others open data keys that were wrapped before.
"""

from pathlib import Path

from services.meshkit import sealing
from services.meshkit.secret import Secret
from services.meshkit.settings import SettingsError
from services.token_vault.keys.errors import KeyUnavailable


class KeyRing:
    """Key-encryption keys by id.

    Args:
        keys: In the order of the settings; a rotation goes to the first. Not empty.
    """

    def __init__(self, keys: dict[str, bytes]) -> None:
        if not keys:
            raise SettingsError(["MAILMESH_VAULT_KEYS is not set, nor MAILMESH_VAULT_KEYS_FILE: one key is needed."])
        self._keys = dict(keys)
        self._writing_id = ""

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the loaded keys, in the order of the settings."""
        return tuple(self._keys)

    @property
    def first_id(self) -> str:
        """The id of the key that a rotation goes to."""
        return self.ids[0]

    @property
    def writing_id(self) -> str:
        """The id of the key to write with what other processes read: all of them have it.

        The first one until `write_with` was called.
        """
        return self._writing_id if self._writing_id in self._keys else self.first_id

    def write_with(self, key_id: str) -> None:
        """Set the key that wraps new data keys, as the database names it. A key that is not loaded stays unused."""
        self._writing_id = key_id

    def key(self, key_id: str) -> bytes:
        """Return the key itself.

        Raises:
            KeyUnavailable: The key is not loaded.
        """
        try:
            return self._keys[key_id]
        except KeyError as exc:
            raise KeyUnavailable(metadata={"key_id": key_id}) from exc

    def is_like(self, other: "KeyRing") -> bool:
        """Say whether another ring has the same keys in the same order."""
        return list(self._keys.items()) == [(key_id, other.key(key_id)) for key_id in other.ids]

    def adopt(self, other: "KeyRing") -> None:
        """Adopt the keys of another ring, after a change of the file of keys."""
        self._keys = {key_id: other.key(key_id) for key_id in other.ids}

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._keys

    def __repr__(self) -> str:
        return f"KeyRing(ids={self.ids})"


def read_keys(keys: Secret | None, keys_file: Path | None) -> KeyRing:
    """Read the keys.

    Args:
        keys: The entries from the environment.
        keys_file: A file with one entry a line. Empty lines and lines that begin with # are ignored.

    Raises:
        SettingsError: A key is missing or unreadable. The message repeats no key.
    """
    return KeyRing(sealing.read_keys("MAILMESH_VAULT_KEYS", keys, keys_file))
