"""Seal fields by AES-256-GCM with a data key per tenant, which a key-encryption key wraps in turn.

The owner of a ciphertext is part of its associated data. So a row that moves to another tenant, a field that moves to
another column, or a wrapped key that moves to another key-encryption key breaks its seal.

    field:     seal(data key, text, ("field", tenant, field name, data key id))
    data key:  seal(key-encryption key, data key, (purpose, tenant, key-encryption key id))

The purpose is "data-key" for the key of tokens and "content-key" for the key of stored content, which another service
gets. So neither can take the place of the other.
"""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.meshkit import sealing
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.token_vault.keys.errors import SealBroken
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.store.data_keys import CONTENT, TOKENS, WrappedKey

_DOMAIN = "mailmesh.vault"


class DataKey:
    """A tenant's data key, unwrapped: seals and opens the tenant's fields. It lives in memory only."""

    __slots__ = ("_cipher", "data_key_id", "tenant_id")

    def __init__(self, tenant_id: str, data_key_id: str, key: bytes) -> None:
        self.tenant_id = tenant_id
        self.data_key_id = data_key_id
        self._cipher = AESGCM(key)

    def seal(self, name: str, value: Secret) -> bytes:
        """Seal a field.

        Args:
            name: The name of the field; opening under another name fails.
            value: The plain text.
        """
        return sealing.seal(self._cipher, value.reveal().encode(), self._bound(name))

    def open(self, name: str, sealed: bytes) -> Secret:
        """Open a field.

        Raises:
            SealBroken: The field was altered, or sealed for another tenant, field or data key.
        """
        try:
            return Secret(sealing.open_sealed(self._cipher, sealed, self._bound(name)).decode())
        except (sealing.SealError, ValueError) as exc:
            raise SealBroken(metadata={"tenant_id": self.tenant_id}) from exc

    def _bound(self, name: str) -> bytes:
        return bound_to("field", self.tenant_id, name, self.data_key_id)


def new_data_key(ring: KeyRing, tenant_id: str, key_encryption_key_id: str) -> tuple[DataKey, WrappedKey]:
    """Make a tenant's data key.

    Raises:
        KeyUnavailable: The key-encryption key is not loaded.
    """
    data_key_id, key = new_id(), AESGCM.generate_key(sealing.KEY_BYTES * 8)
    wrapped = _wrap(ring, TOKENS, tenant_id, key_encryption_key_id, key)
    return (
        DataKey(tenant_id, data_key_id, key),
        WrappedKey(tenant_id, data_key_id, key_encryption_key_id, wrapped),
    )


def unwrap(ring: KeyRing, wrapped: WrappedKey) -> DataKey:
    """Open the data key of a tenant's tokens.

    Raises:
        KeyUnavailable: The key-encryption key is not loaded.
        SealBroken: The wrapped key was altered or belongs to another tenant.
    """
    return DataKey(wrapped.tenant_id, wrapped.data_key_id, _unwrapped(ring, wrapped))


def rewrap(ring: KeyRing, wrapped: WrappedKey, key_encryption_key_id: str) -> WrappedKey:
    """Wrap the same data key by another key-encryption key. The fields that the data key sealed stay unchanged.

    Raises:
        KeyUnavailable: One of the two key-encryption keys is not loaded.
        SealBroken: The wrapped key was altered.
    """
    key = _unwrapped(ring, wrapped)
    return WrappedKey(
        wrapped.tenant_id,
        wrapped.data_key_id,
        key_encryption_key_id,
        _wrap(ring, wrapped.purpose, wrapped.tenant_id, key_encryption_key_id, key),
        wrapped.purpose,
    )


@dataclass(frozen=True)
class ContentKey:
    """The key of a tenant's stored content, unwrapped. It lives in memory only.

    Args:
        tenant_id: Its tenant.
        content_key_id: Its own id, a UUID.
        key: The key, 32 bytes.
    """

    tenant_id: str
    content_key_id: str
    key: bytes = field(repr=False)


def new_content_key(ring: KeyRing, tenant_id: str, key_encryption_key_id: str) -> WrappedKey:
    """Make the key of a tenant's stored content.

    Raises:
        KeyUnavailable: The key-encryption key is not loaded.
    """
    key = AESGCM.generate_key(sealing.KEY_BYTES * 8)
    wrapped = _wrap(ring, CONTENT, tenant_id, key_encryption_key_id, key)
    return WrappedKey(tenant_id, new_id(), key_encryption_key_id, wrapped, CONTENT)


def unwrap_content_key(ring: KeyRing, wrapped: WrappedKey) -> ContentKey:
    """Open the key of a tenant's stored content.

    Raises:
        KeyUnavailable: The key-encryption key is not loaded.
        SealBroken: The wrapped key was altered, belongs to another tenant, or is no key of content.
    """
    if wrapped.purpose != CONTENT:
        raise SealBroken(metadata={"tenant_id": wrapped.tenant_id})
    return ContentKey(wrapped.tenant_id, wrapped.data_key_id, _unwrapped(ring, wrapped))


def seal_with(key: bytes, value: bytes, bound: bytes) -> bytes:
    """Seal with a given key: check values, and the secrets of a flow, whose key a browser holds."""
    return sealing.seal(AESGCM(key), value, bound)


def open_with(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    """Open a value that `seal_with` sealed.

    Raises:
        SealBroken: The value was altered, or the key or the binding differs.
    """
    try:
        return sealing.open_sealed(AESGCM(key), sealed, bound)
    except sealing.SealError as exc:
        raise SealBroken from exc


def bound_to(*parts: str) -> bytes:
    """Encode associated data so that no two lists of parts look alike."""
    return sealing.bound_to(_DOMAIN, *parts)


def _wrap(ring: KeyRing, purpose: str, tenant_id: str, key_id: str, key: bytes) -> bytes:
    return seal_with(ring.key(key_id), key, bound_to(purpose, tenant_id, key_id))


def _unwrapped(ring: KeyRing, wrapped: WrappedKey) -> bytes:
    key_id = wrapped.key_encryption_key_id
    bound = bound_to(wrapped.purpose, wrapped.tenant_id, key_id)
    try:
        return open_with(ring.key(key_id), wrapped.wrapped, bound)
    except SealBroken as exc:
        raise SealBroken(metadata={"tenant_id": wrapped.tenant_id}) from exc
