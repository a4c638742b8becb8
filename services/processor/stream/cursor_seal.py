"""Sealed cursors: positions for readers that must not learn when others' events were published.

The cursor of a page or of a heartbeat is the last row that was examined, of any tenant. In the clear it would
tell a reader of some tenants when the newest event of the whole installation was published, and two equal cursors would
tell that there was none in between. So each sealed cursor differs from all others, whatever it says.
"""

import hashlib
import struct
from collections.abc import Collection
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.meshkit import opaque, sealing
from services.processor.stream.cursor import EPOCH_BYTES, TAG_BYTES, Cursor
from services.processor.stream.errors import CursorInvalid

KEY_BYTES = sealing.KEY_BYTES
_VERSION = b"\x02"
_KEY_ID_BYTES = 4
_FORMAT = struct.Struct(f">{EPOCH_BYTES}sq{TAG_BYTES}s")
_CHARACTERS = 72
"""A whole number of base64 groups: there is no padding, and each cursor has one spelling."""
_BOUND = sealing.bound_to("mailmesh.processor", "cursor")
_NOT_ISSUED = "is not a cursor that mailmesh issued"


class CursorSeal:
    """Seals and opens cursors with the key of a store. Thread-safe.

    Args:
        key: 32 random bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._prefix = _VERSION + hashlib.blake2b(key, digest_size=_KEY_ID_BYTES).digest()

    def __repr__(self) -> str:
        return f"CursorSeal(key_id={self._prefix[1:].hex()})"

    def write(self, cursor: Cursor) -> str:
        """Return a string for consumers, another one each time."""
        packed = _FORMAT.pack(cursor.epoch, cursor.position, cursor.tag)
        return opaque.encode(self._prefix + sealing.seal(self._cipher, packed, _BOUND))

    def has_sealed(self, value: str) -> bool:
        """Return whether a sealed cursor names this key: another store, or this one before a restore, has another."""
        return opaque.decode(value, _CHARACTERS).startswith(self._prefix)

    def read(self, value: str, field: str = "cursor") -> Cursor:
        """Open a sealed cursor.

        Args:
            value: The string from the request, of which `is_sealed` and `has_sealed` are true.
            field: The request's field, for the error.

        Raises:
            CursorInvalid: The string was altered.
        """
        raw = opaque.decode(value, _CHARACTERS)
        try:
            packed = sealing.open_sealed(self._cipher, raw[len(self._prefix) :], _BOUND)
        except sealing.SealError as exc:
            raise CursorInvalid(violations={field: _NOT_ISSUED}) from exc
        return Cursor(*_FORMAT.unpack(packed))


def written(cursor: Cursor, seal: CursorSeal | None, scope: Collection[str] | None) -> str:
    """Return a cursor as a reader gets it: sealed for one that may not see all tenants.

    Not for the cursor of an event that the reader gets itself, which tells it nothing new.

    Args:
        cursor: The cursor.
        seal: The seal; None until an operator has begun to seal.
        scope: The tenants that the reader may see; None means all.
    """
    return cursor.write() if scope is None or seal is None else seal.write(cursor)


@lru_cache(maxsize=4)
def seal_of(key: bytes) -> CursorSeal:
    """Return the seal of a key. A process meets one, and after a restore of the database another."""
    return CursorSeal(key)


def is_sealed(value: str) -> bool:
    """Return whether a string from a request has the form of a sealed cursor."""
    if len(value) != _CHARACTERS:
        return False
    try:
        return opaque.decode(value, _CHARACTERS).startswith(_VERSION)
    except opaque.NotOpaqueError:
        return False
