"""Requests of every shape on the paths of RPCs, and the headers of every answer."""

import asyncio
import contextlib
import itertools
from typing import Any

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from gateway.contract import descriptor_path, edge_services
from mailmesh.vault.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from services.meshkit import errors
from services.meshkit.header_bounds import EDGE_HEADERS, EDGE_KIB
from services.meshkit.status import to_status
from stack.certificates import MeshCertificates
from tests.gateway.conftest import ADMIN_KEY, Edge, StartEdge, error_of
from tools.documents import read_yaml
from tools.generate.protos import ROOT

KEY = {"authorization": f"Bearer {ADMIN_KEY}"}
GRPC = {"content-type": "application/grpc", "te": "trailers"}
SERVICES = [*(service.name for service in edge_services(descriptor_path())), "grpc.health.v1.Health"]
OPEN_RPC = "/mailmesh.vault.v1.AuthorizationService/OpenAuthorization"
NO_GRPC = (
    "application/json", "application/connect+json", "application/proto", "text/plain", "application/grpcx",
    "Application/gRPC", "",
)  # fmt: skip
DOCUMENT = read_yaml((ROOT / "gen" / "openapi" / "openapi.yaml").read_text())
ROUTES = [(verb.upper(), path) for path, verbs in DOCUMENT["paths"].items() for verb in verbs]
# A GET, bodies that are no messages, frames and headers that are wrong: each once made the service reset the stream.
SHAPES: dict[str, tuple[str, dict[str, str], bytes]] = {
    "get": ("GET", {}, b""),
    "get as grpc": ("GET", GRPC, b""),
    "delete": ("DELETE", GRPC, b""),
    "json": ("POST", {"content-type": "application/json"}, b"{}"),
    "no body": ("POST", GRPC, b""),
    "half a frame": ("POST", GRPC, b"\x00\x00"),
    "frame too short": ("POST", GRPC, b"\x00\x00\x00\x00\x09abc"),
    "frame of 4 GiB": ("POST", GRPC, b"\x00\xff\xff\xff\xffabc"),
    "bad flag": ("POST", GRPC, b"\x09\x00\x00\x00\x00"),
    "packed without encoding": ("POST", GRPC, b"\x01\x00\x00\x00\x02ab"),
    "unknown encoding": ("POST", GRPC | {"grpc-encoding": "rot13"}, b"\x01\x00\x00\x00\x02ab"),
    "no message": ("POST", GRPC, b"\x00\x00\x00\x00\x03\xff\xff\xff"),
    "two messages": ("POST", GRPC, b"\x00\x00\x00\x00\x00" * 2),
    "bad timeout": ("POST", GRPC | {"grpc-timeout": "yesterday"}, b"\x00\x00\x00\x00\x00"),
    "no time": ("POST", GRPC | {"grpc-timeout": "1n"}, b"\x00\x00\x00\x00\x00"),
    "bad base64": ("POST", GRPC | {"x-some-bin": "!*!"}, b"\x00\x00\x00\x00\x00"),
    "no trailers": ("POST", {"content-type": "application/grpc"}, b"\x00\x00\x00\x00\x00"),
    "unknown codec": ("POST", GRPC | {"content-type": "application/grpc+json"}, b"\x00\x00\x00\x00\x00"),
}


def http2(edge: Edge) -> httpx.AsyncClient:
    """A client that speaks HTTP/2 without TLS."""
    return httpx.AsyncClient(base_url=f"http://{edge.address}", http1=False, http2=True, timeout=30, trust_env=False)


async def ejections(edge: Edge) -> dict[str, int]:
    """Return the processes that get no requests, by cluster."""
    clusters = (await asyncio.to_thread(edge.server.ask, "/clusters?format=json"))["cluster_statuses"]
    return {
        cluster["name"]: out
        for cluster in clusters
        if (out := sum(host["health_status"] != {"eds_health_status": "HEALTHY"} for host in cluster["host_statuses"]))
    }


async def test_a_body_that_is_no_grpc_is_415_on_every_service(edge: Edge) -> None:
    for service in SERVICES:
        for content_type in NO_GRPC:
            answer = await edge.client.post(f"/{service}/Any", content=b"{}", headers={"content-type": content_type})
            assert (415, 3, "FIELD_INVALID") == (answer.status_code, *error_of(answer)), (service, content_type)
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            answer = await edge.client.request(method, f"/{service}/Any")
            assert (405, "POST") == (answer.status_code, answer.headers["allow"]), (service, method)

    assert [] == edge.seen.calls


async def test_no_shape_of_a_request_puts_a_process_out(edge: Edge) -> None:
    rpcs = (OPEN_RPC, "/mailmesh.ingest.v1.IngestService/ReceiveGraphNotifications", "/grpc.health.v1.Health/Check")
    async with http2(edge) as client:
        for name, (method, headers, body) in SHAPES.items():
            for rpc in rpcs:
                for _ in range(12):
                    answer = await client.request(method, rpc, headers=headers, content=body)
                    assert answer.status_code != 503, (name, rpc, answer.headers)

    assert {} == await ejections(edge)
    async with asyncio.timeout(60):
        # The requests above may have used up what one address may ask for at the open door.
        while 429 == (answer := await edge.client.get("/auth/oauth/ms365/authorize?ticket=t")).status_code:
            await asyncio.sleep(0.5)
    assert 302 == answer.status_code


async def test_calls_that_are_taken_back_put_no_process_out(edge: Edge) -> None:
    async with grpc.aio.insecure_channel(edge.address) as channel:
        tenants = tenant_service_pb2_grpc.TenantServiceStub(channel)
        calls = [
            tenants.ListTenants(tenant_service_pb2.ListTenantsRequest(), metadata=tuple(KEY.items()), timeout=30)
            for _ in range(50)
        ]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    assert {} == await ejections(edge)
    assert 200 == (await edge.client.get("/v1/tenants", headers=KEY)).status_code


async def test_a_body_without_end_takes_no_room_of_a_service(start_edge: StartEdge) -> None:
    edge = await start_edge(concurrent_requests=4, request_seconds=60)
    async with contextlib.AsyncExitStack() as opened:
        for rpc in (OPEN_RPC, "/mailmesh.vault.v1.TenantService/ListTenants", "/grpc.health.v1.Health/Watch"):
            channel = await opened.enter_async_context(grpc.aio.insecure_channel(edge.address))
            for _ in range(8):
                call = channel.stream_unary(rpc)(metadata=tuple(KEY.items()))
                opened.callback(call.cancel)
                await call.write(b"")  # one message, and no end of the body
        answers = [await edge.client.get("/v1/tenants", headers=KEY) for _ in range(5)]

    assert {200} == {answer.status_code for answer in answers}


async def test_keys_are_checked_while_every_place_at_token_vault_is_taken(start_edge: StartEdge) -> None:
    edge = await start_edge(concurrent_requests=4, public_requests=4)
    watch = health_pb2.HealthCheckRequest()
    async with grpc.aio.insecure_channel(edge.address) as channel:
        watches = [health_pb2_grpc.HealthStub(channel).Watch(watch) for _ in range(8)]
        served = asyncio.as_completed([call.read() for call in watches])
        for first in itertools.islice(served, 4):
            with contextlib.suppress(grpc.aio.AioRpcError):  # beyond the bound of four
                await first
        answers = [await edge.client.get(path, headers=KEY) for path in ("/v1/tenants", "/v1/events:stream")]
        for call in watches:
            call.cancel()

    assert [200, 200] == [answer.status_code for answer in answers]


async def refused(call: Any) -> tuple[grpc.StatusCode, str, str]:
    """Return the code, the reason and the message of a refused call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    assert status is not None, caught.value
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert "mailmesh" == info.domain
    return caught.value.code(), info.reason, status.message


async def test_refusals_of_the_edge_over_grpc_have_a_reason(start_edge: StartEdge) -> None:
    edge = await start_edge(api_per_second=1, api_burst=1)
    request = tenant_service_pb2.ListTenantsRequest()
    async with grpc.aio.insecure_channel(edge.address) as channel:
        tenants = tenant_service_pb2_grpc.TenantServiceStub(channel)
        for _ in range(3):  # the burst
            with contextlib.suppress(grpc.aio.AioRpcError):
                await tenants.ListTenants(request, metadata=tuple(KEY.items()), timeout=30)
        limited = await refused(tenants.ListTenants(request, metadata=tuple(KEY.items()), timeout=30))
        unknown = await refused(channel.unary_unary("/mailmesh.vault.v1.NoService/Any")(b"", timeout=30))
        frame = b"\x00\x00\x00\x00\x00"
        web = await edge.client.post(
            "/mailmesh.vault.v1.TenantService/ListTenants",
            content=frame,
            headers=KEY | {"content-type": "application/grpc-web+proto"},
        )

    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED") == limited[:2]
    assert "local_rate_limited" not in limited[2]
    assert (grpc.StatusCode.UNIMPLEMENTED, "ROUTE_NOT_FOUND") == unknown[:2]
    assert (200, "8") == (web.status_code, web.headers["grpc-status"])
    assert "grpc-status-details-bin" in web.headers


@pytest.mark.parametrize(
    "denial",
    [
        errors.ApiKeyInvalid(),
        errors.RoleTooLow(),
        errors.NotFound("Not there: 100 %, “quoted”."),
        errors.Overloaded(),
        errors.StoreUnavailable(),
        errors.DeadlineTooShort(),
        errors.RoleTooLow("long " * 400),
    ],
    ids=lambda denial: f"{type(denial).__name__}-{len(denial.message)}",
)
async def test_a_refusal_of_token_vault_is_the_same_in_code_message_and_details(
    edge: Edge, denial: errors.MeshError
) -> None:
    edge.seen.denial = denial
    request = tenant_service_pb2.ListTenantsRequest()
    async with grpc.aio.insecure_channel(edge.address) as channel:
        call = tenant_service_pb2_grpc.TenantServiceStub(channel).ListTenants(request, timeout=30)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call

    # `from_call` raises if the three differ.
    assert to_status(denial) == rpc_status.from_call(caught.value)


async def test_reflection_and_health_take_nothing_from_the_pages_of_people(start_edge: StartEdge) -> None:
    edge = await start_edge(oauth_per_second=1, oauth_burst=3, public_per_second=1, public_burst=3)
    async with grpc.aio.insecure_channel(edge.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        checks = await asyncio.gather(
            *(health.Check(health_pb2.HealthCheckRequest(), timeout=30) for _ in range(30)), return_exceptions=True
        )
    page = await edge.client.get("/auth/oauth/ms365/authorize?ticket=t")

    assert grpc.StatusCode.RESOURCE_EXHAUSTED in {check.code() for check in checks if isinstance(check, Exception)}
    assert 302 == page.status_code


@pytest.mark.parametrize("is_http2", [False, True], ids=["http/1.1", "http/2"])
async def test_headers_up_to_the_bound_pass_and_beyond_it_are_refused_with_a_reason(
    edge: Edge, *, is_http2: bool
) -> None:
    # In a thread: packing large headers takes seconds, in which the services here would fail their checks of health.
    with httpx.Client(
        base_url=f"http://{edge.address}", http1=not is_http2, http2=is_http2, timeout=30, trust_env=False
    ) as client:
        for path, good in (("/v1/tenants", 200), ("/api/ms365/webhook?validationToken=a", 200)):
            for size in (4, 8, 12, 16, 30, 60, EDGE_KIB - 2):
                answer = await asyncio.to_thread(client.get, path, headers=KEY | {"x-large": "a" * size * 1024})
                assert good == answer.status_code, (path, size)
            large = await asyncio.to_thread(client.get, path, headers=KEY | {"x-large": "a" * EDGE_KIB * 1024})
            many = await asyncio.to_thread(
                client.get, path, headers=KEY | {f"x-{number}": "a" for number in range(EDGE_HEADERS)}
            )
            for answer in (large, many):
                assert (431, 3, "FIELD_INVALID") == (answer.status_code, *error_of(answer))
    async with grpc.aio.insecure_channel(edge.address) as channel:
        tenants = tenant_service_pb2_grpc.TenantServiceStub(channel)
        # Envoy's HTTP/2 takes no single header above 64 KiB.
        metadata = (*KEY.items(), *((f"x-large-{number}", "a" * EDGE_KIB * 512) for number in range(2)))
        told = await refused(
            tenants.ListTenants(tenant_service_pb2.ListTenantsRequest(), metadata=metadata, timeout=30)
        )
    assert (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") == told[:2]


async def test_http_1_0_is_answered_like_http_1_1(edge: Edge) -> None:
    async def say(head: str, body: bytes = b"") -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(head.encode() + b"\r\n\r\n" + body)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        return answer

    key = f"authorization: Bearer {ADMIN_KEY}"
    listed = await say(f"GET /v1/tenants HTTP/1.0\r\nhost: mesh.example\r\n{key}")
    without_host = await say(f"GET /v1/nothing HTTP/1.0\r\n{key}")
    pushed = await say("POST /api/ms365/webhook HTTP/1.0\r\nhost: mesh.example\r\ncontent-length: 2", b"{}")
    stream = await say(f"GET /v1/events:stream HTTP/1.0\r\nhost: mesh.example\r\n{key}")

    assert b" 200 " in listed.splitlines()[0]
    assert b'"nextPageToken":"more"' in listed.replace(b" ", b"")
    assert b" 404 " in without_host.splitlines()[0]
    assert b"ROUTE_NOT_FOUND" in without_host
    assert b" 202 " in pushed.splitlines()[0]
    assert stream.endswith(b"id: 2\ndata: {}\n\n")


ALWAYS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


def lacking(answer: httpx.Response) -> set[str]:
    """Return the security headers that an answer lacks, or has twice."""
    names = {name for name, value in ALWAYS.items() if answer.headers.get_list(name) != [value]}
    policy = answer.headers.get_list("content-security-policy")
    if len(policy) != 1 or "default-src 'none'" not in policy[0] or "frame-ancestors 'none'" not in policy[0]:
        names.add("content-security-policy")
    return names


async def test_every_answer_of_every_route_has_the_security_headers(start_edge: StartEdge) -> None:
    edge = await start_edge(webhook_body_bytes=5000, api_body_bytes=5000)
    odd = [("GET", "/"), ("GET", "/v1/nothing"), ("POST", OPEN_RPC), ("GET", OPEN_RPC), ("OPTIONS", "/v1/tenants")]
    found = {}
    for method, path in (*ROUTES, *odd):
        for name, headers, content in (
            ("without key", {}, b""),
            ("with key", KEY, b"{}"),
            ("no JSON", KEY, b"{"),
            ("large body", KEY, b"x" * 9000),
            ("large headers", {"x-large": "a" * EDGE_KIB * 1024}, b""),
            ("too large for HTTP", {"x-large": "a" * EDGE_KIB * 2048}, b""),
        ):
            answer = await edge.client.request(method, path, headers=headers, content=content)
            if lacks := lacking(answer):
                found[method, path, name, answer.status_code] = lacks
            assert "strict-transport-security" not in answer.headers

    assert {} == found


async def test_over_tls_browsers_are_told_to_stay_with_it(
    start_edge: StartEdge, certificates: MeshCertificates
) -> None:
    identity = certificates.identity("simulator")
    edge = await start_edge(tls_certificate=identity.certificate, tls_key=identity.key, api_burst=1, api_per_second=1)

    answers = [await edge.client.get("/v1/tenants", headers=KEY) for _ in range(30)]

    assert {200, 429} == {answer.status_code for answer in answers}
    assert {"max-age=31536000"} == {answer.headers["strict-transport-security"] for answer in answers}
    assert [set()] * 30 == [lacking(answer) for answer in answers]
