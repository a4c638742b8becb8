"""Read the app's credentials as operators have them: a certificate with its key, a service account's key file."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from services.meshkit.errors import FieldInvalid
from services.meshkit.secret import Secret
from services.meshkit.text import plain_name

MAX_CHARACTERS = 16_384
_BITS_LEAST, _BITS_MOST = 2048, 4096
_SUBJECT_CHARACTERS = 200
_EMAIL = re.compile(r"[a-z0-9._-]{1,100}@[a-z0-9.-]{1,150}")
_CLIENT_ID = re.compile(r"[0-9]{5,30}")
_KEY_ID = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class ReadCredential:
    """A credential that was read, not sealed yet.

    Args:
        key_name: The certificate's thumbprint, or the id of the service account's key.
        account: The certificate's subject, or the service account's address.
        client_id: The service account's numeric id; empty for a certificate.
        certificate: The certificate as PEM; empty for a service account.
        expires_at: The certificate's end; None for a service account's key.
        private_key: As PEM (PKCS #8), without a passphrase.
    """

    key_name: str
    account: str
    client_id: str
    certificate: str
    expires_at: datetime | None
    private_key: Secret


def read_certificate(certificate_pem: str, private_key_pem: str, now: datetime) -> ReadCredential:
    """Read a client certificate and its private key.

    The name is the thumbprint as Microsoft's pages show it: SHA-1 of the certificate, as hexadecimal digits.

    Raises:
        FieldInvalid: One of the two is unreadable, they do not belong together, the key is no RSA key of 2,048 to
            4,096 bits, or the certificate is not valid now.
    """
    field = "microsoft_certificate.certificate_pem"
    _bounded(field, certificate_pem)
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
        # The library reads these parts only when they are asked for, so they may fail where the whole did not.
        public_key, subject = certificate.public_key(), certificate.subject.rfc4514_string()
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise FieldInvalid.of(field, "must be one certificate as PEM") from exc
    key = _private_key("microsoft_certificate.private_key_pem", private_key_pem)
    if public_key != key.public_key():
        raise FieldInvalid.of("microsoft_certificate.private_key_pem", "must be the private key of the certificate")
    ends_at = certificate.not_valid_after_utc
    if not certificate.not_valid_before_utc <= now.astimezone(UTC) < ends_at:
        raise FieldInvalid.of(field, "must be valid now")
    return ReadCredential(
        certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303 - a name, as Microsoft shows it
        plain_name(subject, _SUBJECT_CHARACTERS),
        "",
        certificate.public_bytes(Encoding.PEM).decode(),
        ends_at,
        _pem(key),
    )


def read_service_account(text: str) -> ReadCredential:
    """Read the JSON file of a service account's key.

    Its addresses are ignored: the token endpoint is the one of the settings, so that a file cannot send assertions
    elsewhere.

    Raises:
        FieldInvalid: It is no such file, or its key is no RSA key of 2,048 to 4,096 bits.
    """
    field = "service_account_key"
    _bounded(field, text)
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise FieldInvalid.of(field, "must be the JSON file of a service account's key") from exc
    if not isinstance(found, dict) or found.get("type") != "service_account":
        raise FieldInvalid.of(field, 'must be a JSON object with the type "service_account"')
    named = {
        name: _matching(field, found, name, pattern)
        for name, pattern in (("client_email", _EMAIL), ("client_id", _CLIENT_ID), ("private_key_id", _KEY_ID))
    }
    key = _private_key(f"{field}.private_key", str(found.get("private_key", "")))
    return ReadCredential(named["private_key_id"], named["client_email"], named["client_id"], "", None, _pem(key))


def _bounded(field: str, text: str) -> None:
    if not 0 < len(text) <= MAX_CHARACTERS:
        raise FieldInvalid.of(field, f"must have 1 to {MAX_CHARACTERS} characters")


def _matching(field: str, found: dict[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise FieldInvalid.of(field, f"must have {name} as Google writes it")
    return value


def _private_key(field: str, text: str) -> rsa.RSAPrivateKey:
    """Read a private key. The library's messages may quote it, so none is passed on."""
    _bounded(field, text)
    try:
        key = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise FieldInvalid.of(field, "must be a private key as PEM, without a passphrase") from exc
    if not isinstance(key, rsa.RSAPrivateKey) or not _BITS_LEAST <= key.key_size <= _BITS_MOST:
        raise FieldInvalid.of(field, f"must be an RSA key of {_BITS_LEAST} to {_BITS_MOST} bits")
    return key


def _pem(key: rsa.RSAPrivateKey) -> Secret:
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
