"""RSA keys that sign tokens, published as JWKS and able to rotate."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


def _number(value: int) -> str:
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class SigningKeys:
    """The keys of one provider: the newest signs, the newest two are published."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._keys: list[tuple[str, rsa.RSAPrivateKey]] = []
        self._made = 0
        self.rotate()

    def rotate(self) -> str:
        """Make a new signing key; the one before stays published, older ones go.

        Returns:
            The new key's id.
        """
        self._made += 1
        key_id = f"{self._name}-{self._made}"
        self._keys = [(key_id, rsa.generate_private_key(65537, 2048)), *self._keys[:1]]
        return key_id

    def sign(self, claims: dict[str, Any], *, key: rsa.RSAPrivateKey | None = None) -> str:
        """Return ``claims`` as an RS256 JWT; ``key`` forges a signature under the published key id."""
        key_id, own = self._keys[0]
        return jwt.encode(claims, key or own, algorithm="RS256", headers={"kid": key_id})

    def jwks(self) -> dict[str, Any]:
        """Return the published keys as a JSON Web Key Set."""
        return {"keys": [_jwk(key_id, key) for key_id, key in self._keys]}

    def certificates(self) -> dict[str, str]:
        """Return the published keys as self-signed certificates by key id, as Google's v1 address does."""
        return {key_id: _certificate(key_id, key) for key_id, key in self._keys}


def _jwk(key_id: str, key: rsa.RSAPrivateKey) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id, "n": _number(numbers.n), "e": _number(numbers.e)}


def _certificate(key_id: str, key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, key_id)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = (
        builder.not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    return signed.public_bytes(serialization.Encoding.PEM).decode()
