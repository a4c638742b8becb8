"""The TLS versions of the doors, the certificates that they trust, and the check of names."""

import socket
import ssl
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.settings import EdgeSettings
from services.meshkit.settings import load
from stack.certificates import MeshCertificates
from stack.ports import free_ports
from tests.programs.envoy import StartEnvoy
from tests.programs.mesh import Mesh
from tests.security.doors import HOMES, port_of

pytestmark = pytest.mark.timeout(300)
CONNECT_SECONDS = 30.0
VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


def offer(version: str, authority: Path, identity: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """Return a client's context that offers one version only, with ciphers of any strength."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority)
    context.set_alpn_protocols(["h2"])
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = VERSIONS[version]
    if identity is not None:
        context.load_cert_chain(*identity)
    return context


def spoken(port: int, context: ssl.SSLContext, name: str) -> str:
    """Return the agreed version; empty when the door refused the connection."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), CONNECT_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=name) as secured,
        ):
            # A client of TLS 1.3 finishes before the server has checked its certificate: the next read decides.
            secured.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            return (secured.version() or "") if secured.recv(9) else ""
    except (ssl.SSLError, OSError):
        return ""


def identity_of(mesh: Mesh, name: str) -> tuple[Path, Path]:
    folder = mesh.data / "certificates"
    return folder / f"{name}.pem", folder / f"{name}.key"


@pytest.mark.parametrize(("version", "expected"), [("1.0", ""), ("1.1", ""), ("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")])
@pytest.mark.parametrize("package", HOMES)
def test_a_mesh_port_speaks_no_old_tls(mesh: Mesh, package: str, version: str, expected: str) -> None:
    port, peer = HOMES[package]
    context = offer(version, mesh.data / "certificates" / "ca.pem", identity_of(mesh, "envoy"))

    assert expected == spoken(port_of(mesh, port), context, f"{peer}.mailmesh.internal")


def test_a_service_is_believed_by_its_own_name_only(mesh: Mesh) -> None:
    context = offer("1.3", mesh.data / "certificates" / "ca.pem", identity_of(mesh, "envoy"))
    port = port_of(mesh, "token-vault")

    assert "TLSv1.3" == spoken(port, context, "token-vault.mailmesh.internal")
    for name in ("ingest.mailmesh.internal", "processor.mailmesh.internal", "elsewhere.example"):
        assert not spoken(port, context, name), name


@pytest.fixture
def stranger(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate that claims to be the edge's, signed by no authority of the mesh."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "envoy")])
    now = datetime.now(UTC)
    uri = x509.UniformResourceIdentifier("spiffe://mailmesh/envoy")
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = tmp_path / "stranger.pem", tmp_path / "stranger.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write_bytes(key.private_bytes(*encoding))
    return certificate, private


@pytest.mark.parametrize("package", HOMES)
def test_a_certificate_of_another_authority_opens_nothing(
    mesh: Mesh, package: str, stranger: tuple[Path, Path]
) -> None:
    port, peer = HOMES[package]
    context = offer("1.3", mesh.data / "certificates" / "ca.pem", stranger)

    assert not spoken(port_of(mesh, port), context, f"{peer}.mailmesh.internal")


@pytest.mark.parametrize("package", HOMES)
def test_a_mesh_port_speaks_nothing_without_tls(mesh: Mesh, package: str) -> None:
    with socket.create_connection(("127.0.0.1", port_of(mesh, HOMES[package][0])), CONNECT_SECONDS) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        connection.settimeout(CONNECT_SECONDS)
        try:
            told = connection.recv(64)
        except ConnectionResetError:
            told = b""

    # At most a TLS alert, never a frame of HTTP/2.
    assert told[:1] in (b"", b"\x15")


@pytest.fixture
def tls_edge(certificates: MeshCertificates, start_envoy: StartEnvoy) -> Iterator[int]:
    """Return the port of an edge with a certificate of its own; no service needs to run behind it."""
    listen, metrics = free_ports(2)
    mesh, public = certificates.identity("envoy"), certificates.identity("simulator")
    settings = load(
        EdgeSettings,
        listen=f"127.0.0.1:{listen}",
        metrics_listen=f"127.0.0.1:{metrics}",
        tls_certificate=public.certificate,
        tls_key=public.key,
        mesh_certificate=mesh.certificate,
        mesh_key=mesh.key,
        mesh_authority=mesh.authority,
    )
    start_envoy(settings)
    return listen


def test_the_edge_speaks_no_old_tls(tls_edge: int, certificates: MeshCertificates) -> None:
    found = {version: spoken(tls_edge, offer(version, certificates.authority), "localhost") for version in VERSIONS}

    assert {"1.0": "", "1.1": "", "1.2": "TLSv1.2", "1.3": "TLSv1.3"} == found
