"""Certificates are renewed under a running edge: it continues with the new ones, on both sides."""

import asyncio
import datetime as dt
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509

from gateway.settings import EdgeSettings
from services.meshkit.settings import load
from stack.certificates import MeshCertificates
from stack.ports import free_ports

pytestmark = pytest.mark.timeout(300)


async def until(ask: Callable[[], Awaitable[bool]]) -> None:
    """Repeat a question until the answer is true."""
    async with asyncio.timeout(60):
        while not await ask():
            await asyncio.sleep(0.2)


def serial_of(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


async def test_an_edge_shows_a_renewed_certificate_without_a_restart(start_envoy, tmp_path: Path) -> None:
    mesh = MeshCertificates(tmp_path / "mesh")
    mesh.ensure(dt.datetime.now(dt.UTC) - dt.timedelta(days=70))
    outer = MeshCertificates(tmp_path / "outer")
    outer.ensure(dt.datetime.now(dt.UTC) - dt.timedelta(days=70))
    envoy, public, service = mesh.identity("envoy"), outer.identity("simulator"), mesh.identity("token-vault")
    shown_upstream: list[int] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown_upstream.append(int(writer.get_extra_info("ssl_object").getpeercert()["serialNumber"], 16))
        writer.close()

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(service.authority))
    tls.load_cert_chain(service.certificate, service.key)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.set_alpn_protocols(["h2"])
    upstream = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    address = f"127.0.0.1:{upstream.sockets[0].getsockname()[1]}"
    edge_port, metrics_port = free_ports(2)
    settings = load(
        EdgeSettings,
        listen=f"127.0.0.1:{edge_port}", metrics_listen=f"127.0.0.1:{metrics_port}",
        mesh_certificate=envoy.certificate, mesh_key=envoy.key, mesh_authority=envoy.authority,
        tls_certificate=public.certificate, tls_key=public.key,
        token_vault=(address,), ingest=(address,), processor=(address,),
    )  # fmt: skip

    async def is_shown_upstream() -> bool:
        return serial_of(envoy.certificate) in shown_upstream

    async def is_shown_to_clients() -> bool:
        trust = ssl.create_default_context(cafile=str(public.authority))
        _, writer = await asyncio.open_connection("127.0.0.1", edge_port, ssl=trust)
        shown = int(writer.get_extra_info("ssl_object").getpeercert()["serialNumber"], 16)
        writer.close()
        return shown == serial_of(public.certificate)

    await asyncio.to_thread(start_envoy, settings)
    await until(is_shown_upstream)
    await until(is_shown_to_clients)
    assert "envoy" in mesh.ensure()
    assert "simulator" in outer.ensure()
    await until(is_shown_to_clients)
    await until(is_shown_upstream)
    upstream.close()
