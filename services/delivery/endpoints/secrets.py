"""The secrets of endpoints: sealed in the table, open in the memory of the process that uses them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from services.delivery.endpoints.access import NO_ACCESS, Access, read, written
from services.delivery.errors import KeyUnavailable, SealBroken
from services.delivery.signing_keys import Ed25519Key, HmacKey, SigningKey, read_signing_key
from services.delivery.store.rows import EndpointRow
from services.meshkit import sealing
from services.meshkit.cache import BoundedCache
from services.meshkit.secret import Secret

_VARIABLE = "MAILMESH_DELIVERY_KEYS"
_DOMAIN = "mailmesh.delivery"
_KEYS, _HEADERS, _ACCESS = "signing-keys", "headers", "access"
OPEN_ENTRIES: Final = 3000
"""Secrets that a process keeps open; an endpoint has up to three kinds. Opening them took a tenth of an attempt."""
OPEN_SECONDS: Final = 60.0
"""The age at which they are opened again. Changed secrets have another sealed form, and so another entry."""
MOST_SEALED_BYTES: Final = 4096
"""The largest sealed form that is kept open, so that all of them take a bounded amount of memory."""

Opened = TypeVar("Opened")


@dataclass(frozen=True)
class KeptKey:
    """A signing key of an endpoint.

    Args:
        key: The key.
        until: When it ends to sign, or None.
    """

    key: SigningKey
    until: datetime | None = None


@dataclass(frozen=True)
class Sealed:
    """The sealed secrets of an endpoint, by the names of the table's columns."""

    sealed_keys: bytes
    sealed_headers: bytes
    sealed_access: bytes
    sealed_by: str


class Sealer:
    """Seals and opens the secrets of endpoints.

    Args:
        keys: Keys by id; the first one seals.

    Raises:
        SettingsError: There is no key.
    """

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = sealing.KeySet(_VARIABLE, keys)
        self._opened: BoundedCache[tuple[str, str, str, bytes], Any] = BoundedCache(OPEN_ENTRIES, OPEN_SECONDS)

    def seal(
        self, endpoint_id: str, keys: list[KeptKey], headers: dict[str, Secret], access: Access = NO_ACCESS
    ) -> Sealed:
        """Seal the signing keys, the headers, and the access of an endpoint to its receiver."""
        shown = [[one.key.write().reveal(), one.until and one.until.isoformat()] for one in keys]
        return Sealed(
            self._seal(endpoint_id, _KEYS, shown),
            self._seal(endpoint_id, _HEADERS, {name: value.reveal() for name, value in headers.items()}),
            self._seal(endpoint_id, _ACCESS, written(access)) if access else b"",
            self._keys.first,
        )

    def signing_keys(self, row: EndpointRow, now: datetime) -> list[KeptKey]:
        """Open the keys with which an endpoint signs, the newest first.

        Args:
            row: The endpoint.
            now: The present; keys that have ended are left out.

        Raises:
            KeyUnavailable: The key that sealed them is not loaded.
            SealBroken: They were altered, or belong to another endpoint.
        """
        kept = self._open(row, _KEYS, row.sealed_keys, _kept_keys)
        return [one for one in kept if one.until is None or one.until > now]

    def headers(self, row: EndpointRow) -> dict[str, Secret]:
        """Open the headers of an endpoint.

        Raises:
            KeyUnavailable: The key that sealed them is not loaded.
            SealBroken: They were altered, or belong to another endpoint.
        """
        return {**self._open(row, _HEADERS, row.sealed_headers, _headers)}

    def access(self, row: EndpointRow) -> Access:
        """Open the access of an endpoint to its receiver.

        Raises:
            KeyUnavailable: The key that sealed it is not loaded.
            SealBroken: It was altered, or belongs to another endpoint.
        """
        return self._open(row, _ACCESS, row.sealed_access, read) if row.sealed_access else NO_ACCESS

    def _seal(self, endpoint_id: str, field: str, value: object) -> bytes:
        bound = sealing.bound_to(_DOMAIN, field, endpoint_id, self._keys.first)
        return self._keys.seal(json.dumps(value).encode(), bound)

    def _open(self, row: EndpointRow, field: str, sealed: bytes, read_as: Callable[[Any], Opened]) -> Opened:
        # A sealed form opens only for its endpoint, its field and its key, so they belong to the name of the entry.
        name = (row.endpoint_id, field, row.sealed_by, sealed)
        kept: Opened | None = self._opened.get(name)
        if kept is None:
            kept = read_as(self._unsealed(row, field, sealed))
            if len(sealed) <= MOST_SEALED_BYTES:
                self._opened.put(name, kept)
        return kept

    def _unsealed(self, row: EndpointRow, field: str, sealed: bytes) -> Any:
        try:
            bound = sealing.bound_to(_DOMAIN, field, row.endpoint_id, row.sealed_by)
            return json.loads(self._keys.open(row.sealed_by, sealed, bound))
        except sealing.KeyMissingError as exc:
            raise KeyUnavailable(metadata={"key_id": row.sealed_by}) from exc
        except sealing.SealError as exc:
            raise SealBroken(metadata={"endpoint_id": row.endpoint_id}) from exc


def _kept_keys(shown: list[tuple[str, str | None]]) -> list[KeptKey]:
    return [
        KeptKey(read_signing_key(Secret(text)), datetime.fromisoformat(until) if until else None)
        for text, until in shown
    ]


def _headers(shown: dict[str, str]) -> Mapping[str, Secret]:
    return {name: Secret(value) for name, value in shown.items()}


def sealer_of(keys: Secret | None, keys_file: Path | None) -> Sealer:
    """Read the keys of the settings.

    Raises:
        SettingsError: A key is missing or unreadable.
    """
    return Sealer(sealing.read_keys(_VARIABLE, keys, keys_file))


def new_key(signature: int) -> SigningKey:
    """Return a new signing key for a version of signatures, a value of the contract."""
    return Ed25519Key.generate() if signature == pb2.ENDPOINT_SIGNATURE_V1A else HmacKey.generate()


def public_text(key: SigningKey) -> str:
    """Return the public key; empty for a shared key."""
    return key.public().write() if isinstance(key, Ed25519Key) else ""


def shown_key(key: SigningKey) -> Secret:
    """Return the form that the receiver needs."""
    return Secret(key.public().write()) if isinstance(key, Ed25519Key) else key.write()
