"""Certificates that change under running processes: servers and clients go on with the new ones."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from services.meshkit import errors
from services.meshkit.channel import mesh_channel
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.server import MeshServer
from stack.certificates import MeshCertificates
from stack.ports import free_port
from tests.wire.meshkit.conftest import SERVER, Echo, make_server, pb, pb_grpc

REQUEST = pb.EchoRequest(text="hello")


def copied(originals: Iterable[Path], folder: Path) -> TlsFiles:
    """Files of their own, which a test may change."""
    folder.mkdir(exist_ok=True)
    files = TlsFiles(folder / "certificate", folder / "key", folder / "authority")
    for kept, original in zip(files.paths, originals, strict=True):
        kept.write_bytes(original.read_bytes())
    return files


@pytest.fixture
def renewed(tmp_path: Path) -> MeshCertificates:
    """Another authority, with certificates for the same identities."""
    made = MeshCertificates(tmp_path / "renewed")
    made.ensure()
    return made


def paths(certificates: MeshCertificates, name: str) -> tuple[Path, Path, Path]:
    identity = certificates.identity(name)
    return identity.certificate, identity.key, identity.authority


async def answered(stub: Any) -> str:
    """Asks until there is an answer."""
    async with asyncio.timeout(60):
        while True:
            try:
                return str((await stub.One(REQUEST, timeout=5)).text)
            except errors.ServiceUnavailable:
                await asyncio.sleep(0.1)


async def test_a_server_shows_and_believes_what_the_files_hold_now(echo: Echo, tls, tmp_path, renewed) -> None:
    server = make_server(echo, copied(tls(SERVER).paths, tmp_path / "server"))
    async with server.running():
        address = f"127.0.0.1:{server.port}"
        async with mesh_channel(address, SERVER, tls("ingest")) as channel:
            await pb_grpc.MeshEchoStub(channel).One(REQUEST)
        copied(paths(renewed, SERVER), tmp_path / "server")
        async with mesh_channel(address, SERVER, TlsFiles(*paths(renewed, "ingest"))) as channel:
            assert "hello" == (await pb_grpc.MeshEchoStub(channel).One(REQUEST)).text
        async with mesh_channel(address, SERVER, tls("ingest")) as channel:
            with pytest.raises(errors.ServiceUnavailable):
                await pb_grpc.MeshEchoStub(channel).One(REQUEST, timeout=30)


async def test_a_channel_shows_and_believes_what_the_files_hold_now(echo: Echo, tls, tmp_path, renewed) -> None:
    listen, client = f"127.0.0.1:{free_port()}", copied(tls("ingest").paths, tmp_path / "client")
    async with mesh_channel(listen, SERVER, client) as channel:
        stub = pb_grpc.MeshEchoStub(channel)
        async with make_server(echo, tls(SERVER), listen=listen).running():
            assert "hello" == await answered(stub)
        async with make_server(echo, TlsFiles(*paths(renewed, SERVER)), listen=listen).running():
            with pytest.raises(errors.ServiceUnavailable):
                await stub.One(REQUEST, timeout=30)
            copied(paths(renewed, "ingest"), tmp_path / "client")
            assert "hello" == await answered(stub)


async def test_a_call_under_way_is_not_disturbed(server: MeshServer, echo: Echo, tls, tmp_path) -> None:
    client, goes_on = copied(tls("ingest").paths, tmp_path / "client"), asyncio.Event()

    async def waits(request: Any) -> str:
        await goes_on.wait()
        return str(request.text)

    echo.behaviours["slow"] = waits
    async with asyncio.timeout(60), mesh_channel(f"127.0.0.1:{server.port}", SERVER, client) as channel:
        stub, first = pb_grpc.MeshEchoStub(channel), channel.newest()
        slow = asyncio.ensure_future(stub.One(pb.EchoRequest(text="slow"), timeout=50))
        await echo.entered.wait()
        copied(tls("ingest").paths, tmp_path / "client")
        while channel.newest() is first:
            await asyncio.sleep(0.1)
        assert "hello" == (await stub.One(REQUEST)).text
        goes_on.set()

        assert "slow" == (await slow).text


async def test_files_that_cannot_be_read_leave_what_was_known(server: MeshServer, tls, tmp_path) -> None:
    client = copied(tls("ingest").paths, tmp_path / "client")
    async with asyncio.timeout(60), mesh_channel(f"127.0.0.1:{server.port}", SERVER, client) as channel:
        first, kept = channel.newest(), client.key.read_bytes()
        client.key.unlink()
        channel._look()
        assert channel.newest() is first
        assert "hello" == (await pb_grpc.MeshEchoStub(channel).One(REQUEST)).text
        client.key.write_bytes(kept)
        channel._look()
        assert channel.newest() is not first
