"""The edge under attack: trickled, partial and flooding requests, compression bombs, borrowed names."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import grpc
import hpack
import httpx
import pytest

from mailmesh.vault.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from stack.certificates import MeshCertificates
from tests.gateway.conftest import ADMIN_KEY, HOLD, Edge, StartEdge, error_of

KEY = {"authorization": f"Bearer {ADMIN_KEY}"}
HEAD = b"POST /api/ms365/webhook HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n"
CUT_SECONDS = 30.0
Write = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def talk(edge: Edge, write: Write) -> tuple[bytes, float]:
    """Send bytes over a bare connection; return the answer, and the time until the edge closed the connection."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    talking = asyncio.create_task(write(writer))
    answer = b""
    try:
        async with asyncio.timeout(CUT_SECONDS):
            with contextlib.suppress(ConnectionError):
                answer = await reader.read(65_536)
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        writer.close()
    return answer, time.monotonic() - began


async def trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send a byte now and then, without end."""
    for _ in range(1000):
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0.1)


async def trickled_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"x-long: ")
    await trickle(writer, b"a")


async def trickled_body(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"content-length: 100000\r\n\r\n")
    await trickle(writer, b"a")


async def half_a_request(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b'content-length: 1000\r\n\r\n{"value":')
    await writer.drain()


@pytest.mark.parametrize("write", [trickled_headers, trickled_body, half_a_request], ids=lambda write: write.__name__)
async def test_a_request_that_does_not_arrive_in_time_is_cut_off(start_edge: StartEdge, write: Write) -> None:
    edge = await start_edge(headers_seconds=1, request_seconds=2)

    answer, seconds = await talk(edge, write)

    assert b"" == answer or b"HTTP/1.1 408" == answer[:12]
    assert 0.8 < seconds < CUT_SECONDS
    assert [] == edge.seen.calls
    assert 202 == (await edge.client.post("/api/ms365/webhook", content=b"{}")).status_code


async def test_garbage_and_smuggling_reach_no_service(edge: Edge) -> None:
    said = {
        "garbage": b"\x16\x03\x01\x02\x00\x01\x00garbage\r\n\r\n",
        "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 5\r\n\r\n{}xyz",
        "length and chunks": HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "no host": b"GET /v1/tenants HTTP/1.1\r\n\r\n",
        "negative length": HEAD + b"content-length: -1\r\n\r\n",
        "bad chunk": HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "null in a header": HEAD + b"x-a: \x00\r\ncontent-length: 0\r\n\r\n",
        "escaped slash": b"GET /v1%2ftenants HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n",
    }
    for name, data in said.items():

        async def write(writer: asyncio.StreamWriter, data: bytes = data) -> None:
            writer.write(data)
            await writer.drain()

        answer, _ = await talk(edge, write)
        assert answer[9:12] in (b"400", b"404", b""), (name, answer)
        assert [] == edge.seen.calls, name


async def test_too_many_under_way_are_refused_at_once_and_the_others_answered(start_edge: StartEdge) -> None:
    edge = await start_edge(concurrent_requests=4)
    held = [asyncio.create_task(edge.client.post("/api/ms365/webhook", content=HOLD)) for _ in range(4)]
    async with asyncio.timeout(30):
        while edge.seen.held < 4:
            await asyncio.sleep(0.02)

    refused = await asyncio.gather(*(edge.client.post("/api/ms365/webhook", content=b"{}") for _ in range(20)))
    others = await edge.client.get("/v1/tenants", headers=KEY)
    # These calls were answered while the first four still wait.
    assert [False] * 4 == [one.done() for one in held]
    edge.seen.released.set()

    assert {(503, 14, "SERVICE_UNAVAILABLE")} == {(answer.status_code, *error_of(answer)) for answer in refused}
    # Requests to another service are counted separately.
    assert 200 == others.status_code
    assert [202] * 4 == [answer.status_code for answer in await asyncio.gather(*held)]
    assert 202 == (await edge.client.post("/api/ms365/webhook", content=b"{}")).status_code


@pytest.mark.parametrize("is_http2", [False, True], ids=["http/1.1", "http/2"])
async def test_bombs_of_headers_are_refused_over_both_versions(edge: Edge, *, is_http2: bool) -> None:
    bombs = {
        "many": {f"x-bomb-{number}": "1" for number in range(300)},
        "large": {"x-bomb": "a" * 100_000},
        "underscore": {"x_mailmesh_role": "admin"},
    }
    for name, bomb in bombs.items():
        async with httpx.AsyncClient(http1=not is_http2, http2=is_http2, timeout=30, trust_env=False) as client:
            try:
                answer = await client.get(f"http://{edge.address}/v1/tenants", headers=KEY | bomb)
            except httpx.TransportError:
                continue  # the edge closed the connection, which is an answer too
        assert answer.status_code in (400, 431), name
    assert [] == edge.seen.calls
    assert 200 == (await edge.client.get("/v1/tenants", headers=KEY)).status_code


@pytest.mark.parametrize("is_http2", [False, True], ids=["http/1.1", "http/2"])
async def test_a_header_that_is_no_utf8_reaches_no_service(
    edge: Edge, caplog: pytest.LogCaptureFixture, *, is_http2: bool
) -> None:
    odd = {b"x-odd": b"\x80\xff", b"user-agent": b"\xed\xa0\x80", b"traceparent": b"00-\xff", b"x-text": "ä".encode()}
    routes = (("/v1/tenants", 200), ("/auth/oauth/ms365/authorize?ticket=t", 302), ("/api/ms365/webhook?s=x", 202))
    async with httpx.AsyncClient(http1=not is_http2, http2=is_http2, timeout=30, trust_env=False) as client:
        for path, status in routes:
            verb = "POST" if "webhook" in path else "GET"
            content = b"{}" if "webhook" in path else None
            headers = {**{name.encode(): value.encode() for name, value in KEY.items()}, **odd}
            answer = await client.request(verb, f"http://{edge.address}{path}", headers=headers, content=content)
            assert status == answer.status_code, path
            assert not {"x-odd", "user-agent"} & edge.seen.last[2].keys(), path
        neighbours = {b"cookie": b"theirs=\x80\xff; __Host-ours=1"}
        await client.get(f"http://{edge.address}{routes[1][0]}", headers=neighbours)
        assert "__Host-ours=1" == edge.seen.last[2]["cookie"].strip("; ")

    assert "Invalid encoding" not in caplog.text


async def test_rest_is_served_alike_over_both_versions(edge: Edge) -> None:
    for is_http2 in (False, True):
        async with httpx.AsyncClient(http1=not is_http2, http2=is_http2, timeout=30, trust_env=False) as client:
            answer = await client.get(f"http://{edge.address}/v1/tenants", headers=KEY)
            pushed = await client.post(f"http://{edge.address}/api/ms365/webhook?s=x", content=b"{}")

        assert ("HTTP/2" if is_http2 else "HTTP/1.1", 200) == (answer.http_version, answer.status_code)
        assert (202, b"") == (pushed.status_code, pushed.content)


async def test_a_forged_forwarding_does_not_escape_the_rate(start_edge: StartEdge) -> None:
    edge = await start_edge(webhooks_per_second=1, webhooks_burst=3)

    answers = [
        await edge.client.post(
            "/api/ms365/webhook",
            content=b"{}",
            headers={"x-forwarded-for": f"203.0.113.{number}", "x-real-ip": "::1"},
        )
        for number in range(30)
    ]

    assert 503 in {answer.status_code for answer in answers}


async def test_behind_a_proxy_of_the_operators_the_address_that_it_gives_counts(start_edge: StartEdge) -> None:
    edge = await start_edge(webhooks_per_second=1, webhooks_burst=3, trusted_proxies=1)

    def forwarded(text: str) -> dict[str, str]:
        return {"x-forwarded-for": text}

    spread = [
        await edge.client.post("/api/ms365/webhook", content=b"{}", headers=forwarded(f"203.0.113.{number}"))
        for number in range(10)
    ]
    # The client wrote the text before the proxy's own entry.
    forged = [
        await edge.client.post(
            "/api/ms365/webhook", content=b"{}", headers=forwarded(f"198.51.100.{number}, 192.0.2.7")
        )
        for number in range(30)
    ]

    assert {202} == {answer.status_code for answer in spread}
    assert 503 in {answer.status_code for answer in forged}


async def test_a_client_that_hangs_up_harms_no_other(edge: Edge) -> None:
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(HEAD + b"content-length: 6\r\n\r\n" + HOLD)
        await writer.drain()
        writer.close()
    edge.seen.released.set()

    assert 202 == (await edge.client.post("/api/ms365/webhook", content=b"{}")).status_code


@pytest.mark.parametrize("stand_in", ["processor", "ingest"])
async def test_a_server_with_anothers_certificate_is_not_spoken_to(
    start_edge: StartEdge, certificates: MeshCertificates, tmp_path_factory: pytest.TempPathFactory, stand_in: str
) -> None:
    foreign = MeshCertificates(tmp_path_factory.mktemp("foreign"))
    foreign.ensure()
    # Another identity of this mesh, and the right name from another authority.
    shown = certificates.identity("processor") if stand_in == "processor" else foreign.identity("ingest")
    edge = await start_edge(impostors={"ingest": shown})

    answer = await edge.client.post("/api/ms365/webhook", content=b'{"value": []}')

    assert (503, 14, "SERVICE_UNAVAILABLE") == (answer.status_code, *error_of(answer))
    assert [] == edge.seen.calls
    assert 200 == (await edge.client.get("/v1/tenants", headers=KEY)).status_code


async def test_an_impostor_of_token_vault_lets_no_caller_in(
    start_edge: StartEdge, certificates: MeshCertificates
) -> None:
    edge = await start_edge(impostors={"token-vault": certificates.identity("ingest")})

    answers = [await edge.client.get(path, headers=KEY) for path in ("/v1/events:stream", "/v1/tenants")]

    assert {503} == {answer.status_code for answer in answers}
    assert [] == edge.seen.calls


async def test_grpc_web_unary_is_answered_in_its_own_framing(edge: Edge) -> None:
    request = tenant_service_pb2.ListTenantsRequest(page_size=7).SerializeToString()
    frame = b"\x00" + len(request).to_bytes(4, "big") + request

    def call(headers: dict[str, str]) -> Awaitable[httpx.Response]:
        return edge.client.post(
            "/mailmesh.vault.v1.TenantService/ListTenants",
            content=frame,
            headers={"content-type": "application/grpc-web+proto", "x-grpc-web": "1"} | headers,
        )

    good, refused = await call(KEY), await call({})

    message, trailers = _frames(good.content)
    assert "more" == tenant_service_pb2.ListTenantsResponse.FromString(message).next_page_token
    assert b"grpc-status:0" in trailers.replace(b" ", b"")
    assert ("ListTenants", 7) == (edge.seen.calls[1][0], edge.seen.calls[1][1].page_size)
    assert (200, "16") == (refused.status_code, refused.headers["grpc-status"])


async def test_a_grpc_client_with_a_bomb_of_metadata_is_refused(edge: Edge) -> None:
    async with grpc.aio.insecure_channel(edge.address) as channel:
        tenants = tenant_service_pb2_grpc.TenantServiceStub(channel)
        bomb = tuple((f"x-bomb-{number}", "1") for number in range(300))
        with pytest.raises(grpc.aio.AioRpcError):
            await tenants.ListTenants(
                tenant_service_pb2.ListTenantsRequest(), metadata=(*KEY.items(), *bomb), timeout=30
            )

    assert [] == edge.seen.calls


def _frames(body: bytes) -> tuple[bytes, bytes]:
    """Return the message and the trailers of a gRPC-Web answer."""
    size = int.from_bytes(body[1:5], "big")
    assert (0, 0x80) == (body[0], body[5 + size])
    return body[5 : 5 + size], body[10 + size :]


FLOOD = 20_000
HEADERS, RESET = 1, 3


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Write a frame of HTTP/2 (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def request_headers(path: str, **more: str) -> bytes:
    """Pack the headers of a GET, each time the same."""
    fields = {":method": "GET", ":scheme": "http", ":authority": "edge", ":path": path, "authorization": "Bearer x"}
    return hpack.Encoder().encode([*fields.items(), *((name.replace("_", "-"), more[name]) for name in more)])


async def flood_with_resets(edge: Edge, path: str) -> None:
    """Send requests over one connection and reset each at once, until all are sent or the edge closes."""
    request = request_headers(path)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    with contextlib.suppress(ConnectionError):
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
        for number in range(FLOOD):
            stream = 2 * number + 1
            writer.write(frame(HEADERS, 5, stream, request) + frame(RESET, 0, stream, b"\0\0\0\x08"))
            await writer.drain()
        async with asyncio.timeout(CUT_SECONDS):
            while await reader.read(65_536):
                pass
    writer.close()


@pytest.mark.parametrize("path", ["/v1/tenants", "/auth/oauth/ms365/authorize?ticket=x"])
async def test_a_flood_of_requests_that_are_reset_is_cut_off_early(edge: Edge, path: str) -> None:
    def figure(name: str) -> int:
        return int(edge.server.ask(f"/stats?format=json&filter=^{name}$")["stats"][0]["value"])

    begun, allocated = figure("http.edge.downstream_rq_total"), figure("server.memory_allocated")
    floods = [asyncio.create_task(flood_with_resets(edge, path)) for _ in range(4)]
    answers = [await edge.client.get("/v1/tenants", headers=KEY) for _ in range(20)]
    await asyncio.gather(*floods)

    assert [200] * 20 == [answer.status_code for answer in answers]
    assert figure("http.edge.downstream_rq_total") - begun < 4 * 2000
    assert figure("server.memory_allocated") - allocated < 100_000_000


async def test_a_proxys_connection_outlasts_one_client_that_resets_all_its_requests(start_edge: StartEdge) -> None:
    edge = await start_edge(trusted_proxies=1)
    hostile = request_headers("/v1/tenants", x_forwarded_for="203.0.113.7")
    other = request_headers("/api/ms365/webhook?validationToken=neighbour", x_forwarded_for="192.0.2.1")
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
    for stream in range(1, 1001, 2):
        writer.write(frame(HEADERS, 5, stream, hostile) + frame(RESET, 0, stream, b"\0\0\0\x08"))
    writer.write(frame(HEADERS, 5, 1001, other))
    await writer.drain()
    seen = b""
    async with asyncio.timeout(CUT_SECONDS):
        while b"neighbour" not in seen:
            more = await reader.read(65_536)
            assert more, "the edge closed the connection of all clients"
            seen += more
    writer.close()
