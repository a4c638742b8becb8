"""The stack's certificates."""

import datetime as dt
import stat
from pathlib import Path

from cryptography import x509

from stack.certificates import MESH_IDENTITIES, PROVIDERS_NAME, MeshCertificates


def names_of(certificate: Path) -> list[str]:
    """Returns the URIs and DNS names that a certificate is good for."""
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [
        *names.get_values_for_type(x509.UniformResourceIdentifier),
        *names.get_values_for_type(x509.DNSName),
    ]


def test_a_mesh_certificate_names_its_identity(certificates: MeshCertificates) -> None:
    assert names_of(certificates.identity("ingest").certificate) == [
        "spiffe://mailmesh/ingest",
        "ingest.mailmesh.internal",
        "localhost",
    ]


def test_the_providers_certificate_is_no_identity_of_the_mesh(certificates: MeshCertificates) -> None:
    assert names_of(certificates.identity(PROVIDERS_NAME).certificate) == ["localhost"]


def test_keys_are_readable_by_their_owner_only(certificates: MeshCertificates) -> None:
    modes = {stat.S_IMODE(key.stat().st_mode) for key in certificates.folder.glob("*.key")}

    assert modes == {0o600}


def test_every_certificate_is_issued_by_the_authority(certificates: MeshCertificates) -> None:
    authority = x509.load_pem_x509_certificate(certificates.authority.read_bytes())

    for name in MESH_IDENTITIES:
        issued = x509.load_pem_x509_certificate(certificates.identity(name).certificate.read_bytes())
        issued.verify_directly_issued_by(authority)


def test_certificates_stay_until_they_near_their_end(tmp_path: Path) -> None:
    made = MeshCertificates(tmp_path / "certificates")
    now = dt.datetime.now(dt.UTC)
    everyone = [*MESH_IDENTITIES, PROVIDERS_NAME]

    assert made.ensure(now) == everyone
    assert made.ensure(now + dt.timedelta(days=59)) == []
    assert made.ensure(now + dt.timedelta(days=61)) == everyone


def test_a_lost_key_is_made_anew(tmp_path: Path) -> None:
    made = MeshCertificates(tmp_path / "certificates")
    made.ensure()
    made.identity("ingest").key.unlink()

    assert made.ensure() == ["ingest"]
