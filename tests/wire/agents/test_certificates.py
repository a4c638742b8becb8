"""Certificates that change under the running door: it shows and believes the files of now."""

import asyncio
import ssl
from pathlib import Path

import pytest

from services.meshkit.identity.certificates import TlsFiles
from stack.certificates import MeshCertificates
from tests.wire.agents.conftest import HOST, RunningDoor, StartDoor, client_context

STRANGER = (ssl.SSLError, ConnectionResetError, asyncio.IncompleteReadError)


def files_of(certificates: MeshCertificates, name: str) -> TlsFiles:
    identity = certificates.identity(name)
    return TlsFiles(identity.certificate, identity.key, identity.authority)


def copied(originals: TlsFiles, folder: Path) -> TlsFiles:
    """Files of their own, which a test may change."""
    folder.mkdir(exist_ok=True)
    files = TlsFiles(folder / "certificate", folder / "key", folder / "authority")
    for kept, original in zip(files.paths, originals.paths, strict=True):
        kept.write_bytes(original.read_bytes())
    return files


@pytest.fixture
def renewed(tmp_path: Path) -> MeshCertificates:
    """Another authority, with certificates for the same identities."""
    made = MeshCertificates(tmp_path / "renewed")
    made.ensure()
    return made


async def health(door: RunningDoor, files: TlsFiles) -> bytes:
    """Ask for the health in a new connection, and return the status line."""
    context = client_context(files)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, ssl=context, server_hostname=HOST)
    try:
        writer.write(b"GET /health HTTP/1.1\r\nhost: agents\r\nconnection: close\r\n\r\n")
        return await reader.readuntil(b"\r\n")
    finally:
        writer.close()


async def test_the_door_shows_and_believes_the_files_of_now(
    start_door: StartDoor, certificates: MeshCertificates, renewed: MeshCertificates, tmp_path: Path
) -> None:
    door = await start_door(copied(files_of(certificates, "agents"), tmp_path / "door"))
    before, after = (files_of(one, "envoy") for one in (certificates, renewed))
    assert await health(door, before) == b"HTTP/1.1 200 OK\r\n"
    copied(files_of(renewed, "agents"), tmp_path / "door")

    assert await health(door, after) == b"HTTP/1.1 200 OK\r\n"
    with pytest.raises(ssl.SSLError):
        await health(door, before)
    # A client that believes both authorities shows that the old one's certificates are refused, not only its own trust.
    both = tmp_path / "both"
    both.write_bytes(before.authority.read_bytes() + after.authority.read_bytes())
    with pytest.raises(STRANGER):
        await health(door, TlsFiles(before.certificate, before.key, both))


async def test_a_half_written_file_leaves_the_known_certificate(
    start_door: StartDoor, certificates: MeshCertificates, tmp_path: Path
) -> None:
    files = copied(files_of(certificates, "agents"), tmp_path / "door")
    door = await start_door(files)
    files.certificate.write_bytes(files.certificate.read_bytes()[:100])

    assert await health(door, files_of(certificates, "envoy")) == b"HTTP/1.1 200 OK\r\n"


async def test_a_client_without_a_certificate_is_refused(start_door: StartDoor, certificates: MeshCertificates) -> None:
    door = await start_door()
    context = ssl.create_default_context(cafile=certificates.authority)
    # The client's part of TLS 1.3 ends before the server has judged it: the refusal comes when the client reads.
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, ssl=context, server_hostname=HOST)

    with pytest.raises(STRANGER):
        await reader.readexactly(1)
    writer.close()
