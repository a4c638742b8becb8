"""The stack's own certificate authority, and a certificate for each identity of the mesh.

Keys are made on this machine, readable by their owner only, and never leave it. A certificate that nears its end is
renewed at the next start, or by the running stack.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stack.files import private_folder, write_private_together

TRUST_DOMAIN = "mailmesh"
MESH_DOMAIN = "mailmesh.internal"
MESH_IDENTITIES = (
    "token-vault",
    "ingest",
    "processor",
    "delivery",
    "primitives",
    "workflows",
    "agents",
    "envoy",
    "operator",
)
# Not an identity of the mesh: the simulated providers only prove their names to their callers.
PROVIDERS_NAME = "simulator"

AUTHORITY_LIFE = dt.timedelta(days=3650)
CERTIFICATE_LIFE = dt.timedelta(days=90)
RENEW_BEFORE_END = dt.timedelta(days=30)
# Clocks differ: a new certificate is valid on a machine whose clock is a little behind.
BACKDATE = dt.timedelta(minutes=5)


@dataclass(frozen=True)
class Identity:
    """The files by which a process proves its identity, as PEM.

    Attributes:
        name: Name in the mesh, such as "ingest".
        certificate: Its certificate, public.
        key: Its private key, mode 0600.
        authority: The certificate of the authority that its peers are checked against.
    """

    name: str
    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True)
class MeshCertificates:
    """A folder with the authority and the certificates that it issued.

    Attributes:
        folder: Private folder; `ensure` makes it and fills it.
    """

    folder: Path

    @property
    def authority(self) -> Path:
        """The authority's certificate, public."""
        return self.folder / "ca.pem"

    def identity(self, name: str) -> Identity:
        """Returns the files of one identity; `ensure` must have run."""
        return Identity(name, self.folder / f"{name}.pem", self.folder / f"{name}.key", self.authority)

    def ensure(self, now: dt.datetime | None = None) -> list[str]:
        """Makes missing certificates and renews those that near their end.

        Args:
            now: The time, UTC; the machine's by default.

        Returns:
            Names of the certificates that are new.

        Safe to call again: yes; a certificate with enough life left stays as it is.
        """
        moment = now or dt.datetime.now(dt.UTC)
        private_folder(self.folder)
        is_new_authority = self._ensure_authority(moment)
        due = [
            name
            for name in (*MESH_IDENTITIES, PROVIDERS_NAME)
            if is_new_authority or self._is_due(self.identity(name).certificate, moment)
        ]
        for name in due:
            self._issue(name, moment)
        return due

    def _ensure_authority(self, moment: dt.datetime) -> bool:
        if not self._is_due(self.authority, moment):
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mailmesh local authority")])
        certificate = (
            _builder(name, name, key.public_key(), moment, AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write_pair(self.authority, self.folder / "ca.key", certificate, key)
        return True

    def _issue(self, name: str, moment: dt.datetime) -> None:
        authority = x509.load_pem_x509_certificate(self.authority.read_bytes())
        signer = _load_key(self.folder / "ca.key")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        life = min(CERTIFICATE_LIFE, authority.not_valid_after_utc - moment)
        certificate = (
            _builder(subject, authority.subject, key.public_key(), moment, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_purposes(name)), critical=False)
            .add_extension(x509.SubjectAlternativeName(_alternative_names(name)), critical=False)
            .add_extension(_authority_key_identifier(authority), critical=False)
            .sign(signer, hashes.SHA256())
        )
        identity = self.identity(name)
        _write_pair(identity.certificate, identity.key, certificate, key)

    @staticmethod
    def _is_due(certificate: Path, moment: dt.datetime) -> bool:
        if not certificate.exists() or not certificate.with_suffix(".key").exists():
            return True
        end = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
        return end - moment < RENEW_BEFORE_END


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    moment: dt.datetime,
    life: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - BACKDATE)
        .not_valid_after(moment + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _purposes(name: str) -> list[x509.ObjectIdentifier]:
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH]
    return purposes if name == PROVIDERS_NAME else [*purposes, ExtendedKeyUsageOID.CLIENT_AUTH]


def _alternative_names(name: str) -> Sequence[x509.GeneralName]:
    local = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    if name == PROVIDERS_NAME:
        return local
    return [
        x509.UniformResourceIdentifier(f"spiffe://{TRUST_DOMAIN}/{name}"),
        x509.DNSName(f"{name}.{MESH_DOMAIN}"),
        *local,
    ]


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds another kind of key than the stack makes")
    return key


def _authority_key_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    extension = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(extension.value)


def _write_pair(
    certificate_path: Path, key_path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    # The key first: a certificate on disk always has its key beside it.
    write_private_together(
        {key_path: pem, certificate_path: certificate.public_bytes(serialization.Encoding.PEM).decode()}
    )
