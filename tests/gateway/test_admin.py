"""The admin interface is out of reach of browsers and other users; metrics are served apart from it."""

import asyncio
import stat
from dataclasses import replace
from pathlib import Path

import grpc
import h2.connection
import h2.events
import httpx
import psutil
import pytest

from gateway.settings import EdgeSettings
from mailmesh.vault.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from services.meshkit.settings import SettingsError, load
from stack.certificates import MeshCertificates
from stack.programs.envoy import EnvoyServer
from stack.programs.program import Program
from tests.gateway.conftest import Edge, StartEdge

TENANTS = "mailmesh.vault.v1.TenantService"
ACTIONS = ("/logging?level=debug", "/quitquitquit", "/drain_listeners", "/healthcheck/fail")
SIGHTS = ("/config_dump", "/clusters", "/server_info", "/stats", "/")


def ports_of(edge: Edge) -> set[int]:
    """Every TCP port on which this Envoy listens."""
    configuration = str(edge.server.configuration.resolve())
    pids = [one.pid for one in psutil.process_iter(["cmdline"]) if configuration in (one.info["cmdline"] or ())]
    listening = [connection for pid in pids for connection in psutil.Process(pid).net_connections("tcp")]
    return {connection.laddr.port for connection in listening if connection.status == psutil.CONN_LISTEN}


async def test_no_port_obeys_what_a_page_of_a_browser_can_send(edge: Edge) -> None:
    ports = ports_of(edge)
    async with httpx.AsyncClient(headers={"origin": "https://evil.example"}, trust_env=False) as browser:
        for port in ports:
            answers = [await browser.post(f"http://127.0.0.1:{port}{path}", content=b"") for path in ACTIONS]
            answers += [await browser.get(f"http://127.0.0.1:{port}{path}") for path in SIGHTS]
            assert {answer.status_code for answer in answers} <= {401, 404, 405}, port

    assert ports == {edge.port, edge.metrics_port}
    assert edge.server.ask("/server_info")["state"] == "LIVE"


def test_the_admin_interface_is_a_socket_of_its_owner(edge: Edge) -> None:
    socket = edge.server.configuration.with_name("admin.sock")

    assert stat.S_IMODE(socket.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("method", "path", "host", "status"),
    [
        ("GET", "/stats/prometheus", "127.0.0.1", 200),
        ("GET", "/stats/prometheus?usedonly", "localhost:1234", 200),
        # A page of another site whose name was bound to our address.
        ("GET", "/stats/prometheus", "evil.example", 404),
        ("POST", "/stats/prometheus", "127.0.0.1", 404),
        ("GET", "/stats", "127.0.0.1", 404),
        ("GET", "/stats/prometheus/../../config_dump", "127.0.0.1", 404),
        ("GET", "/stats/prometheus%2f..%2fconfig_dump", "127.0.0.1", 404),
    ],
)
async def test_the_port_of_metrics_serves_metrics_only(
    edge: Edge, method: str, path: str, host: str, status: int
) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.request(method, f"http://127.0.0.1:{edge.metrics_port}{path}", headers={"host": host})

        paged = await client.request(
            method, f"http://127.0.0.1:{edge.metrics_port}{path}", headers={"host": host, "origin": "null"}
        )

    assert paged.status_code == 404
    assert answer.status_code == status
    assert ("envoy_cluster_upstream_rq" in answer.text) == (status == 200)
    assert "access-control-allow-origin" not in answer.headers


def test_an_address_of_the_admin_interface_that_is_a_port_is_refused(tmp_path: Path) -> None:
    files = dict.fromkeys(("mesh_certificate", "mesh_key", "mesh_authority"), tmp_path)
    with pytest.raises(SettingsError, match="any page in a browser could call a port"):
        load(EdgeSettings, admin_listen="127.0.0.1:9901", **files)


async def test_the_edge_has_found_its_services_when_each_has_a_process_that_answers(
    start_edge: StartEdge, certificates: MeshCertificates
) -> None:
    whole = await start_edge()
    partial = await start_edge(impostors={"ingest": certificates.identity("processor")})

    async with asyncio.timeout(40):
        while not await asyncio.to_thread(whole.server.has_found_services):
            await asyncio.sleep(0.05)
    assert await asyncio.to_thread(partial.server.is_ready)
    assert not await asyncio.to_thread(partial.server.has_found_services)


async def test_no_level_of_the_log_has_a_key_or_a_ticket(
    start_edge: StartEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = EnvoyServer.program

    def at_trace(self: EnvoyServer, name: str) -> Program:
        program = original(self, name)
        level = program.command.index("--log-level") + 1
        return replace(program, command=(*program.command[:level], "trace", *program.command[level + 1 :]))

    monkeypatch.setattr(EnvoyServer, "program", at_trace)
    edge = await start_edge()
    await edge.client.get("/v1/tenants", headers={"authorization": "Bearer mm_unknown-key"})
    await edge.client.get("/auth/oauth/ms365/authorize?ticket=the-ticket", headers={"cookie": "__Host-flow=the-cookie"})
    async with grpc.aio.insecure_channel(edge.address) as channel:
        stub = tenant_service_pb2_grpc.TenantServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.ListTenants(
                tenant_service_pb2.ListTenantsRequest(), metadata=(("authorization", "Bearer mm_unknown-key"),)
            )
    log = edge.server.configuration.parent.with_suffix(".log").read_text()

    assert "[trace]" in log
    assert [secret for secret in ("unknown-key", "the-ticket", "the-cookie") if secret in log] == []


async def test_no_line_of_the_log_is_as_long_as_a_stranger_likes(start_edge: StartEdge) -> None:
    """The line of a refused request, too: it would wash out the log within the rate of one address."""
    edge = await start_edge()
    log = edge.server.configuration.parent.with_suffix(".log")
    paths = [f"/{root}/" + "a" * 30_000 for root in ("v1", "api", "auth/oauth", "none", TENANTS)]
    for path in paths:
        await edge.client.get(path)
        await edge.client.post(path, headers={"content-type": "application/grpc"})
    async with httpx.AsyncClient(base_url=edge.client.base_url, http1=False, http2=True) as client:
        await client.request("X" * 3000, "/v1/tenants")

    async with asyncio.timeout(30):
        while (text := log.read_text()).count('"edge_request"') < 2 * len(paths) + 1:
            await asyncio.sleep(0.2)

    assert [] == [line[:200] for line in text.splitlines() if len(line) > 3000]
    assert '"/v1/aaa' in text


async def test_a_request_without_a_path_is_no_fault_of_the_script(start_edge: StartEdge) -> None:
    """Envoy lets a request pass whose script fails, and logs each failure."""
    edge = await start_edge()
    client = h2.connection.H2Connection()
    client.initiate_connection()
    client.send_headers(1, [(":method", "CONNECT"), (":authority", "edge:80")], end_stream=True)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(client.data_to_send())
    statuses: list[str] = []
    async with asyncio.timeout(10):
        while not statuses:
            events = client.receive_data(await reader.read(65_536))
            answers = [event for event in events if isinstance(event, h2.events.ResponseReceived)]
            statuses += [dict(event.headers)[b":status"].decode() for event in answers]
    writer.close()

    assert statuses == ["404"]
    assert "script log" not in edge.server.configuration.parent.with_suffix(".log").read_text()
