"""Credentials of the app: client certificates with their keys, and files of service accounts' keys."""

import datetime as dt
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


def client_certificate(name: str = "mailmesh", days: int = 365, bits: int = 2048) -> tuple[str, str]:
    """Return a self-signed certificate with its RSA key, both as PEM; `days` of the past are over already."""
    key = rsa.generate_private_key(65537, bits)
    subject, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - 400 * _DAY)
        .not_valid_after(now + days * _DAY)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), pem(key)


def service_account_key(email: str = "mailmesh@example.iam.gserviceaccount.com", **facts: str) -> str:
    """Return the JSON file of a key of a service account that no provider knows."""
    key = rsa.generate_private_key(65537, 2048)
    found = {
        "type": "service_account",
        "private_key_id": f"{x509.random_serial_number() % 16**40:040x}",
        "private_key": pem(key),
        "client_email": email,
        "client_id": "103147483648907483648",
        "token_uri": "https://attacker.example/token",
    }
    return json.dumps(found | facts)


def pem(key: rsa.RSAPrivateKey) -> str:
    """Return a private key as PEM (PKCS #8)."""
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
