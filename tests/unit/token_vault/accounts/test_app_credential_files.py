"""Files of the app's credentials, read: what fits is taken, all else is refused without any part of the key."""

import base64
import datetime as dt
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from services.meshkit.errors import FieldInvalid
from services.token_vault.accounts.app_credential_files import (
    MAX_CHARACTERS,
    ReadCredential,
    read_certificate,
    read_service_account,
)
from tests.factories.app_credentials import client_certificate, pem, service_account_key

NOW = dt.datetime.now(dt.UTC)
CERTIFICATE, KEY = client_certificate()
FILE = service_account_key()


def test_a_certificate_is_known_by_the_thumbprint_that_microsoft_shows() -> None:
    read = read_certificate(CERTIFICATE, KEY, NOW)
    expected = x509.load_pem_x509_certificate(CERTIFICATE.encode()).fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303

    assert (expected, "CN=mailmesh", "") == (read.key_name, read.account, read.client_id)
    assert (read.expires_at or NOW) > NOW
    assert KEY not in repr(read)


def test_a_key_that_a_passphrase_or_another_form_holds_is_stored_as_pkcs8() -> None:
    key = serialization.load_pem_private_key(KEY.encode(), None)
    old_form = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()

    assert "BEGIN RSA PRIVATE KEY" in old_form
    assert KEY == read_certificate(CERTIFICATE, old_form, NOW).private_key.reveal()


def elliptic() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def locked() -> str:
    key = serialization.load_pem_private_key(KEY.encode(), None)
    closed = serialization.BestAvailableEncryption(b"word")
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, closed).decode()


def altered(text: str, old: bytes, new: bytes) -> str:
    """Return a PEM in which some bytes are replaced by as many others."""
    label = text.splitlines()[0].removeprefix("-----BEGIN ").removesuffix("-----")
    raw = base64.b64decode("".join(text.splitlines()[1:-1]))
    assert old in raw
    changed = base64.encodebytes(raw.replace(old, new)).decode()
    return f"-----BEGIN {label}-----\n{changed}-----END {label}-----\n"


RSA_ENCRYPTION, UNKNOWN = bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864886f70d01017f")


@pytest.mark.parametrize(
    ("certificate", "key", "field"),
    [
        (CERTIFICATE, client_certificate()[1], "microsoft_certificate.private_key_pem"),
        (CERTIFICATE, elliptic(), "microsoft_certificate.private_key_pem"),
        (CERTIFICATE, locked(), "microsoft_certificate.private_key_pem"),
        (CERTIFICATE, CERTIFICATE, "microsoft_certificate.private_key_pem"),
        (CERTIFICATE, "", "microsoft_certificate.private_key_pem"),
        (CERTIFICATE, altered(KEY, RSA_ENCRYPTION, UNKNOWN), "microsoft_certificate.private_key_pem"),
        (altered(CERTIFICATE, RSA_ENCRYPTION, UNKNOWN), KEY, "microsoft_certificate.certificate_pem"),
        (altered(CERTIFICATE, b"mailmesh", b"\xff" * 8), KEY, "microsoft_certificate.certificate_pem"),
        (KEY, KEY, "microsoft_certificate.certificate_pem"),
        ("", KEY, "microsoft_certificate.certificate_pem"),
        ("x" * (MAX_CHARACTERS + 1), KEY, "microsoft_certificate.certificate_pem"),
        (*client_certificate(days=-1), "microsoft_certificate.certificate_pem"),
        (*client_certificate(bits=1024), "microsoft_certificate.private_key_pem"),
    ],
)
def test_a_certificate_that_does_not_fit_is_refused(certificate: str, key: str, field: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        read_certificate(certificate, key, NOW)

    assert field in str(caught.value.violations)
    assert "PRIVATE" not in f"{caught.value!r} {caught.value.violations}"


def test_a_service_accounts_file_is_read_and_its_addresses_are_not() -> None:
    read, found = read_service_account(FILE), json.loads(FILE)

    assert ReadCredential(
        found["private_key_id"], found["client_email"], found["client_id"], "", None, read.private_key
    ) == read  # fmt: skip
    assert found["private_key"] == read.private_key.reveal()
    assert "attacker" not in repr(read)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 10_000,
        "null",
        json.dumps({"type": "authorized_user"}),
        service_account_key(type="external_account"),
        service_account_key(email="not an address"),
        service_account_key(client_id="mesh"),
        service_account_key(private_key_id="../x"),
        service_account_key(private_key="-----BEGIN PRIVATE KEY-----"),
        service_account_key(private_key=elliptic()),
        service_account_key(private_key=altered(KEY, RSA_ENCRYPTION, UNKNOWN)),
        service_account_key(private_key=pem(rsa.generate_private_key(65537, 1024))),  # noqa: S505
        FILE + " " * MAX_CHARACTERS,
    ],
)
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        read_service_account(text)

    assert "service_account_key" in str(caught.value.violations)
    assert "BEGIN" not in f"{caught.value!r} {caught.value.violations}"
