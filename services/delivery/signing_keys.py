"""The keys that sign webhooks, in the text forms of Standard Webhooks.

Source: standard-webhooks/standard-webhooks, spec/standard-webhooks.md, section "Signature scheme". The specification
fixes no layout for the bytes of `whsk_`: a 32-byte Ed25519 seed (RFC 8032) and the 64 bytes of seed and public key,
which other senders write, are both read here; the seed alone is written.
"""

import base64
import binascii
import hmac
import secrets
from typing import ClassVar, Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from services.meshkit.secret import Secret

HMAC_PREFIX: Final = "whsec_"
PRIVATE_PREFIX: Final = "whsk_"
PUBLIC_PREFIX: Final = "whpk_"
_LEAST_HMAC_BYTES = 24
_MOST_HMAC_BYTES = 64
_NEW_HMAC_BYTES = 32
_ED25519_BYTES = 32


class SigningKeyInvalid(ValueError):  # noqa: N818 - named like the mesh's other failures of an argument
    """A text is no key of webhooks. The message says the form that is expected, and nothing of the text."""


class _Unprintable:
    """Keeps key material out of `repr`, pickles and copies."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(**********)"

    def __reduce__(self) -> NoReturn:
        msg = "a signing key is not pickled"
        raise TypeError(msg)


class HmacKey(_Unprintable):
    """A key that sender and receiver share: signatures `v1`, HMAC-SHA256.

    Args:
        raw: 24 to 64 random bytes.

    Raises:
        SigningKeyInvalid: The length is not allowed.
    """

    __slots__ = ("_raw",)
    version: ClassVar[str] = "v1"

    def __init__(self, raw: bytes) -> None:
        if not _LEAST_HMAC_BYTES <= len(raw) <= _MOST_HMAC_BYTES:
            raise SigningKeyInvalid(f"a {HMAC_PREFIX} key has {_LEAST_HMAC_BYTES} to {_MOST_HMAC_BYTES} bytes")
        self._raw = raw

    @classmethod
    def generate(cls) -> "HmacKey":
        """Return a new random key."""
        return cls(secrets.token_bytes(_NEW_HMAC_BYTES))

    def sign(self, content: bytes) -> bytes:
        """Return the 32 bytes of the signature."""
        return hmac.digest(self._raw, content, "sha256")

    def verifies(self, content: bytes, signature: bytes) -> bool:
        """Return whether a signature is this key's, in a time that does not depend on the signature's bytes."""
        return hmac.compare_digest(self.sign(content), signature)

    def write(self) -> Secret:
        """Return the text form, `whsec_...`, which the receiver needs as well."""
        return Secret(HMAC_PREFIX + _encode(self._raw))


class Ed25519PublicKey:
    """The receiver's half of an `Ed25519Key`: verifies signatures `v1a`.

    Args:
        raw: 32 bytes.

    Raises:
        SigningKeyInvalid: The length is not allowed.
    """

    __slots__ = ("_key", "_raw")
    version: ClassVar[str] = "v1a"

    def __init__(self, raw: bytes) -> None:
        if len(raw) != _ED25519_BYTES:
            raise SigningKeyInvalid(f"a {PUBLIC_PREFIX} key has {_ED25519_BYTES} bytes")
        self._raw = raw
        self._key = ed25519.Ed25519PublicKey.from_public_bytes(raw)

    def verifies(self, content: bytes, signature: bytes) -> bool:
        """Return whether a signature belongs to this key."""
        try:
            self._key.verify(signature, content)
        except InvalidSignature:
            return False
        return True

    def write(self) -> str:
        """Return the text form, `whpk_...`. It is no secret."""
        return PUBLIC_PREFIX + _encode(self._raw)


class Ed25519Key(_Unprintable):
    """A key of which the receiver gets only the public half: signatures `v1a`, Ed25519.

    Args:
        raw: A seed of 32 bytes, or the seed followed by its public key.

    Raises:
        SigningKeyInvalid: The length is not allowed, or the two halves do not belong together.
    """

    __slots__ = ("_key",)
    version: ClassVar[str] = "v1a"

    def __init__(self, raw: bytes) -> None:
        if len(raw) not in {_ED25519_BYTES, 2 * _ED25519_BYTES}:
            raise SigningKeyInvalid(f"a {PRIVATE_PREFIX} key has {_ED25519_BYTES} or {2 * _ED25519_BYTES} bytes")
        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(raw[:_ED25519_BYTES])
        if raw[_ED25519_BYTES:] not in {b"", self._key.public_key().public_bytes_raw()}:
            raise SigningKeyInvalid(f"the halves of a {PRIVATE_PREFIX} key do not belong together")

    @classmethod
    def generate(cls) -> "Ed25519Key":
        """Return a new random key."""
        return cls(secrets.token_bytes(_ED25519_BYTES))

    def sign(self, content: bytes) -> bytes:
        """Return the 64 bytes of the signature; the same content gives the same signature."""
        return self._key.sign(content)

    def public(self) -> Ed25519PublicKey:
        """Return the half that the receiver needs."""
        return Ed25519PublicKey(self._key.public_key().public_bytes_raw())

    def write(self) -> Secret:
        """Return the text form, `whsk_...`, of the seed. The receiver never needs it."""
        return Secret(PRIVATE_PREFIX + _encode(self._key.private_bytes_raw()))


SigningKey = HmacKey | Ed25519Key
VerifyingKey = HmacKey | Ed25519PublicKey


def read_signing_key(text: Secret) -> SigningKey:
    """Read a key that signs.

    Args:
        text: `whsec_` or `whsk_`, followed by padded standard base64.

    Raises:
        SigningKeyInvalid: The text has another form.
    """
    shown = text.reveal()
    if shown.startswith(PRIVATE_PREFIX):
        return Ed25519Key(_decode(PRIVATE_PREFIX, shown))
    return HmacKey(_decode(HMAC_PREFIX, shown))


def read_verifying_key(text: Secret) -> VerifyingKey:
    """Read a key that verifies.

    Args:
        text: `whsec_` or `whpk_`, followed by padded standard base64.

    Raises:
        SigningKeyInvalid: The text has another form.
    """
    shown = text.reveal()
    if shown.startswith(PUBLIC_PREFIX):
        return Ed25519PublicKey(_decode(PUBLIC_PREFIX, shown))
    return HmacKey(_decode(HMAC_PREFIX, shown))


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _decode(prefix: str, text: str) -> bytes:
    """Decode the part after the prefix.

    The official libraries read URL-safe or unpadded base64 as other bytes or not at all, so only one form is a key.
    """
    encoded = text.removeprefix(prefix)
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise _no_key(prefix) from None
    if not text.startswith(prefix) or _encode(raw) != encoded:
        raise _no_key(prefix)
    return raw


def _no_key(prefix: str) -> SigningKeyInvalid:
    return SigningKeyInvalid(f"a key is {prefix} followed by standard base64 with padding")
