"""The private keys of certificates: sealed in the table, open in memory only."""

from pathlib import Path

from services.ingest.errors import KeyUnavailable, SealBroken
from services.meshkit import sealing
from services.meshkit.secret import Secret

_VARIABLE = "MAILMESH_INGEST_KEYS"
_DOMAIN = "mailmesh.ingest"
_FIELD = "notification-key"


class Sealer:
    """Seals and opens private keys.

    Args:
        keys: Keys by id; the first one seals.

    Raises:
        SettingsError: There is no key.
    """

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = sealing.KeySet(_VARIABLE, keys, "resource data needs one key")
        self.first = self._keys.first
        """The id of the key that seals."""

    def seal(self, certificate_id: str, private_key: bytes) -> bytes:
        """Seal the private key of a certificate by the first key."""
        return self._keys.seal(private_key, self._bound(certificate_id, self.first))

    def open(self, certificate_id: str, sealed: bytes, sealed_by: str) -> bytes:
        """Open the private key of a certificate.

        Raises:
            KeyUnavailable: The key that sealed it is not loaded.
            SealBroken: It was altered, or belongs to another certificate.
        """
        try:
            return self._keys.open(sealed_by, sealed, self._bound(certificate_id, sealed_by))
        except sealing.KeyMissingError as exc:
            raise KeyUnavailable(metadata={"key_id": sealed_by}) from exc
        except sealing.SealError as exc:
            raise SealBroken(metadata={"certificate_id": certificate_id}) from exc

    @staticmethod
    def _bound(certificate_id: str, key_id: str) -> bytes:
        return sealing.bound_to(_DOMAIN, _FIELD, certificate_id, key_id)


def sealer_of(keys: Secret | None, keys_file: Path | None) -> Sealer:
    """Read the keys of the settings.

    Raises:
        SettingsError: A key is missing or unreadable.
    """
    return Sealer(sealing.read_keys(_VARIABLE, keys, keys_file))
