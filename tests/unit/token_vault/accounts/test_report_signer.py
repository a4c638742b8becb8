"""The signatures of reports, by each kind of key that a mesh certificate may have."""

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from services.token_vault.accounts.erase import ReportSigner
from services.token_vault.errors import InstallationMisconfigured

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def signer(folder: Path, key: PrivateKey) -> ReportSigner:
    private, public = folder / "key.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return ReportSigner(public, private)


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)])
def test_the_command_of_the_page_verifies_a_report(tmp_path: Path, key: PrivateKey) -> None:
    signature, _ = signer(tmp_path, key).sign("{}")
    (tmp_path / "report.sig").write_bytes(base64.b64decode(signature))
    (tmp_path / "report.txt").write_text("{}")
    command = ("openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "report.sig", "report.txt")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30)

    assert (0, "Verified OK\n") == (done.returncode, done.stdout)


def test_another_key_is_refused_by_the_name_of_its_setting(tmp_path: Path) -> None:
    with pytest.raises(InstallationMisconfigured) as refused:
        signer(tmp_path, ed25519.Ed25519PrivateKey.generate()).sign("{}")
    assert {"setting": "MAILMESH_TLS_KEY"} == refused.value.metadata
