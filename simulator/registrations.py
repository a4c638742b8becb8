"""Proofs of applications: certificates of a client at Microsoft, service accounts with their keys at Google."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_BITS = 2048


@dataclass(slots=True)
class ServiceAccount:
    """A service account at Google.

    Attributes:
        email: Its address, the issuer of its assertions.
        client_id: Its numeric id, which administrators grant scopes.
        keys: Its public keys by id.
        granted: The scopes of domain-wide delegation, by hosted domain.
        mistaken: Addresses by the address whose token they get instead, a fault.
        signers: The addresses with the role Service Account Token Creator on it.
        is_api_enabled: Whether its project has enabled the IAM Credentials API.
    """

    email: str
    client_id: str
    keys: dict[str, rsa.RSAPublicKey] = field(default_factory=dict)
    granted: dict[str, frozenset[str]] = field(default_factory=dict)
    mistaken: dict[str, str] = field(default_factory=dict)
    signers: set[str] = field(default_factory=set)
    is_api_enabled: bool = True
    _googles_key: rsa.RSAPrivateKey | None = None

    def signed(self, claims: dict[str, Any]) -> tuple[str, str]:
        """Sign by the key that Google keeps, and return the key's id and the JWT."""
        if self._googles_key is None:
            self._googles_key = rsa.generate_private_key(65537, _BITS)
        public = self._googles_key.public_key()
        key_id = hashlib.sha1(self.email.encode(), usedforsecurity=False).hexdigest()
        self.keys[key_id] = public
        return key_id, jwt.encode(claims, self._googles_key, "RS256", {"kid": key_id})

    def new_key(self, token_url: str) -> dict[str, str]:
        """Make another key, and return the file of it as Google's console gives it."""
        key = rsa.generate_private_key(65537, _BITS)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        key_id = hashlib.sha1(pem.encode(), usedforsecurity=False).hexdigest()
        self.keys[key_id] = key.public_key()
        return {
            "type": "service_account",
            "project_id": self.email.partition("@")[2].partition(".")[0],
            "private_key_id": key_id,
            "private_key": pem,
            "client_email": self.email,
            "client_id": self.client_id,
            "token_uri": token_url,
            "universe_domain": "googleapis.com",
        }


class AssertionRefused(Exception):  # noqa: N818 - an answer
    """An assertion is refused; the message is the cause: ``key``, ``signature``, ``time``, ``audience``, ``claims``."""


@dataclass(slots=True)
class ClientCertificates:
    """The certificates of a client at Microsoft, by their SHA-256 and SHA-1 thumbprints as assertions have them."""

    by_thumbprint: dict[str, x509.Certificate] = field(default_factory=dict)

    def add(self, pem: str) -> None:
        """Register a certificate.

        Raises:
            ValueError: It is none.
        """
        certificate = x509.load_pem_x509_certificate(pem.encode())
        for algorithm in (hashes.SHA256(), hashes.SHA1()):  # noqa: S303 - Microsoft knows both
            self.by_thumbprint[_b64(certificate.fingerprint(algorithm))] = certificate

    def remove(self, pem: str) -> None:
        """Forget a certificate."""
        gone = x509.load_pem_x509_certificate(pem.encode())
        self.by_thumbprint = {name: one for name, one in self.by_thumbprint.items() if one != gone}

    def verify(self, assertion: str, client_id: str, audience: str) -> None:
        """Verify a client assertion (RFC 7523, section 3) by the certificate that its header names.

        Raises:
            AssertionRefused: It is refused.
        """
        header = header_of(assertion)
        certificate = self.by_thumbprint.get(str(header.get("x5t#S256") or header.get("x5t") or "").rstrip("="))
        if certificate is None:
            raise AssertionRefused("key")
        key = certificate.public_key()
        claims = verified(assertion, key, ("PS256", "RS256"), [audience], ("exp", "iss", "sub", "aud", "jti"))
        if claims["iss"] != client_id or claims["sub"] != client_id:
            raise AssertionRefused("claims")


def header_of(assertion: str) -> dict[str, Any]:
    """Return the header of an assertion, unverified.

    Raises:
        AssertionRefused: It is no JWT.
    """
    try:
        return dict(jwt.get_unverified_header(assertion))
    except jwt.PyJWTError as exc:
        raise AssertionRefused("claims") from exc


def unverified_claims(assertion: str) -> dict[str, Any]:
    """Return the claims of an assertion, unverified.

    Raises:
        AssertionRefused: It is no JWT.
    """
    try:
        return dict(jwt.decode(assertion, options={"verify_signature": False}))
    except (jwt.PyJWTError, json.JSONDecodeError) as exc:
        raise AssertionRefused("claims") from exc


def verified(
    assertion: str, key: Any, algorithms: tuple[str, ...], audiences: list[str], required: tuple[str, ...]
) -> dict[str, Any]:
    """Return the claims of an assertion.

    Raises:
        AssertionRefused: It is refused.
    """
    try:
        claims = jwt.decode(
            assertion, key, algorithms=list(algorithms), audience=audiences, leeway=60, options={"require": [*required]}
        )
    except jwt.InvalidAudienceError as exc:
        raise AssertionRefused("audience") from exc
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as exc:
        raise AssertionRefused("time") from exc
    except jwt.InvalidSignatureError as exc:
        raise AssertionRefused("signature") from exc
    except jwt.PyJWTError as exc:
        raise AssertionRefused("claims") from exc
    return dict(claims)


def _b64(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
