"""Seal the content that the store keeps of tenants that chose it, and open it for readers.

A process keeps the content keys of all sealed tenants in memory: TokenVault lends them, and `KeyFollower` fetches those
that are missing. So sealing and opening need no call, and no transaction waits for another service.

A sealed value begins with the version of the seal, 1. No stored message begins so: it would be field 0, which Protobuf
does not have. So the values of a tenant may be sealed or not, in any order, and each is read as it is.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.meshkit import sealing
from services.processor.stream.errors import ContentKeyUnavailable, SealBroken

MAX_TENANTS = 20_000
"""The most tenants whose keys a process keeps: about 10 MB."""
_DOMAIN = "mailmesh.processor"
_SEALED = b"\x01"


@dataclass(frozen=True)
class SealedTenant:
    """A tenant that has a content key.

    Args:
        tenant_id: Its UUID.
        seals_in_seconds: The time after which its content is sealed; None when it is sealed no more.
    """

    tenant_id: str
    seals_in_seconds: float | None


class _Key:
    """A content key in memory."""

    __slots__ = ("cipher", "content_key_id")

    def __init__(self, content_key_id: str, key: bytes) -> None:
        self.content_key_id = content_key_id
        self.cipher = AESGCM(key)


class Contents:
    """Seals and opens content, with the keys that this process has.

    Args:
        monotonic: A clock in seconds that only grows.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._seals_from: dict[str, float | None] = {}
        self._keys: dict[str, _Key | None] = {}

    def __repr__(self) -> str:
        return f"Contents(tenants={len(self._seals_from)})"

    def know(self, tenants: Iterable[SealedTenant]) -> None:
        """Adopt the list of all tenants that have a key. The keys of others, such as erased ones, are forgotten."""
        now = self._monotonic()
        self._seals_from = {
            one.tenant_id: None if one.seals_in_seconds is None else now + one.seals_in_seconds for one in tenants
        }
        self._keys = {tenant_id: key for tenant_id, key in self._keys.items() if tenant_id in self._seals_from}

    def missing(self) -> list[str]:
        """Return the tenants whose keys this process has not got."""
        return [tenant_id for tenant_id in self._seals_from if self._keys.get(tenant_id) is None]

    def unusable(self) -> list[str]:
        """Return the sealed tenants of which this process can store nothing, because it has not got their keys."""
        return [tenant_id for tenant_id in self.missing() if self.is_sealing(tenant_id)]

    def put(self, tenant_id: str, content_key_id: str, key: bytes) -> None:
        """Keep the key of a tenant."""
        self._keys[tenant_id] = _Key(content_key_id, key)

    def note_destroyed(self, tenant_id: str) -> None:
        """Note that a tenant has no key any more, unless this process has it: nothing opens its content."""
        self._keys.setdefault(tenant_id, None)

    def is_sealing(self, tenant_id: str) -> bool:
        """Return whether content of a tenant is sealed when it is stored."""
        begin = self._seals_from.get(tenant_id)
        return begin is not None and self._monotonic() >= begin

    def seal(self, tenant_id: str, value: bytes, *owner: str) -> bytes:
        """Seal a value if content of the tenant is sealed; return it as it is otherwise. Empty values stay empty.

        Args:
            tenant_id: The tenant's UUID.
            value: The plain bytes.
            owner: The names of the row and the column that have it; it opens there only.

        Raises:
            ContentKeyUnavailable: This process has not got the tenant's key.
        """
        if not value or not self.is_sealing(tenant_id):
            return value
        key = self._key(tenant_id)
        return sealing.seal(key.cipher, value, sealing.bound_to(_DOMAIN, *owner, tenant_id, key.content_key_id))

    def open(self, tenant_id: Any, value: bytes, *owner: str) -> bytes:
        """Return a value as it was before it was sealed, or as it is when it is not sealed. Thread-safe.

        Args:
            tenant_id: The tenant's UUID, as text or as the driver has it.
            value: A stored value that is a message, or sealed.
            owner: As for `seal`.

        Raises:
            ContentKeyUnavailable: This process has not got the tenant's key.
            SealBroken: The value was altered or moved, or its key is destroyed.
        """
        return self.open_sealed(tenant_id, value, *owner) if is_sealed(value) else value

    def open_sealed(self, tenant_id: Any, value: bytes, *owner: str) -> bytes:
        """Open a value that is known to be sealed. Raises as `open`."""
        tenant = str(tenant_id)
        key = self._key(tenant)
        bound = sealing.bound_to(_DOMAIN, *owner, tenant, key.content_key_id)
        try:
            return sealing.open_sealed(key.cipher, value, bound)
        except sealing.SealError as exc:
            raise SealBroken(metadata={"tenant_id": tenant}) from exc

    def _key(self, tenant_id: str) -> _Key:
        key = self._keys.get(tenant_id)
        if key is not None:
            return key
        if tenant_id in self._keys:
            raise SealBroken(metadata={"tenant_id": tenant_id})
        raise ContentKeyUnavailable(metadata={"tenant_id": tenant_id})


def is_sealed(value: bytes) -> bool:
    """Return whether a stored message is sealed."""
    return value[:1] == _SEALED


CONTENTS = Contents()
"""The keys of this process, for every store that seals: as there is one memory, there is one copy of each key."""
EVENT_PARTS = ("basic", "body", "raw")
"""The columns of events that have content."""


def event_owner(event_id: Any, part: str) -> tuple[str, str, str]:
    """Return the owner of a part of an event. A replay has the parts of its original, and so their owner."""
    return "event", str(event_id), part


def open_part(row: Any, part: str) -> bytes:
    """Open a part of an event's row, which has the event's ids and its tenant. Raises as `Contents.open`."""
    value: bytes = row[part]
    if not is_sealed(value):
        return value
    return CONTENTS.open_sealed(
        row["tenant_id"], value, *event_owner(row["original_event_id"] or row["event_id"], part)
    )
