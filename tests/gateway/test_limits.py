"""The limits of the edge with the real Envoy: bodies, rates, memory, and further settings of its own."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.contract import descriptor_path, services
from mailmesh.access.v1 import access_pb2
from stack.certificates import MeshCertificates
from tests.gateway.conftest import ADMIN_KEY, StartEdge, error_of

MIB = 1024 * 1024
KEY = {"authorization": f"Bearer {ADMIN_KEY}"}
KEYED_SERVICES = [service.name for service in services(descriptor_path()) if service.door == access_pb2.DOOR_KEY]


async def test_push_is_refused_when_it_has_no_token(start_edge: StartEdge) -> None:
    edge = await start_edge(public_url="https://mesh.example", push_certs_url="https://127.0.0.1:1/certs")

    answer = await edge.client.post("/api/googlews/webhook", content=b"{}")

    assert 401 == answer.status_code
    assert (16, "PUSH_TOKEN_INVALID") == error_of(answer)
    assert [] == edge.seen.calls


async def test_body_over_the_limit_is_413_and_one_at_the_limit_is_taken(start_edge: StartEdge) -> None:
    edge = await start_edge(webhook_body_bytes=100_000)

    taken = await edge.client.post("/api/ms365/webhook", content=b"x" * 99_000)
    refused = await edge.client.post("/api/ms365/webhook", content=b"x" * 200_000)

    assert (202, 413) == (taken.status_code, refused.status_code)
    assert (8, "BODY_TOO_LARGE") == error_of(refused)


async def test_webhooks_over_the_rate_get_503_and_the_api_429(start_edge: StartEdge) -> None:
    edge = await start_edge(webhooks_per_second=1, webhooks_burst=2, api_per_second=1, api_burst=2)

    webhooks = [await edge.client.post("/api/ms365/webhook", content=b"{}") for _ in range(30)]
    calls = [await edge.client.get("/v1/tenants", headers=KEY) for _ in range(30)]

    assert 503 in {answer.status_code for answer in webhooks}
    assert 429 in {answer.status_code for answer in calls}
    refused = next(answer for answer in webhooks if answer.status_code == 503)
    assert (14, "SERVICE_UNAVAILABLE") == error_of(refused)
    assert "1s" == refused.json()["details"][1]["retryDelay"]
    assert (8, "RATE_LIMITED") == error_of(next(answer for answer in calls if answer.status_code == 429))


async def test_an_address_has_one_bucket_for_all_routes_of_the_api(start_edge: StartEdge) -> None:
    edge = await start_edge(api_per_second=1, api_burst=15)
    paths = ["/v1/tenants", "/auth/tenants", "/api/ms365/subscriptions", "/api/googlews/gmail/watch", "/v1/none"] * 3
    frame, web = b"\x00\x00\x00\x00\x00", KEY | {"content-type": "application/grpc-web+proto"}

    rest = [await edge.client.get(path, headers=KEY) for path in paths]
    rpcs = [await edge.client.post(f"/{service}/Any", headers=web, content=frame) for service in KEYED_SERVICES]
    odd = [await edge.client.post(f"/{service}/Any", headers=KEY, content=b"{}") for service in KEYED_SERVICES]
    webhook = await edge.client.post("/api/ms365/webhook", content=b"{}")

    taken = [answer for answer in (*rest, *rpcs, *odd) if not is_limited(answer)]
    # A second or two may pass, in which the bucket gets a token each.
    assert 15 <= len(taken) <= 25 < len(rest) + len(rpcs) + len(odd)
    assert 202 == webhook.status_code


def is_limited(answer: httpx.Response) -> bool:
    """Whether the rate refused a request, by REST or by gRPC-Web."""
    return answer.status_code == 429 or answer.headers.get("grpc-status") == "8"


async def test_mails_and_documents_have_a_small_bucket_for_all_doors(start_edge: StartEdge) -> None:
    edge = await start_edge(content_per_second=1, content_burst=4)
    frame, web = b"\x00\x00\x00\x00\x00", {"content-type": "application/grpc-web+proto"}
    rpc = "/mailmesh.primitives.v1.PrimitiveService/ParseMail"

    rest = [await edge.client.post("/v1/primitives:parseMail", json={}) for _ in range(15)]
    rpcs = [await edge.client.post(rpc, headers=web, content=frame) for _ in range(15)]
    others = [await edge.client.get("/v1/tenants", headers=KEY) for _ in range(15)]

    taken = [answer for answer in (*rest, *rpcs) if not is_limited(answer)]
    assert 4 <= len(taken) <= 14  # a second or two may pass, in which the bucket gets a token each
    assert {401} == {answer.status_code for answer in taken if answer in rest}
    assert {200} == {answer.status_code for answer in others}


async def test_an_edge_whose_memory_is_used_up_refuses_requests(start_edge: StartEdge) -> None:
    edge = await start_edge(
        content_burst=1000, content_per_second=1000, content_body_bytes=64 * MIB, heap_bytes=128 * MIB
    )
    body = b"x" * (48 * MIB)

    async def held() -> AsyncIterator[bytes]:
        yield body
        await asyncio.sleep(60)

    holding = [asyncio.create_task(edge.client.post("/v1/primitives:parseMail", content=held())) for _ in range(4)]
    try:
        while (answer := await edge.client.get("/v1/tenants", headers=KEY)).status_code == 200:
            await asyncio.sleep(0.2)
        assert (503, (14, "SERVICE_UNAVAILABLE")) == (answer.status_code, error_of(answer))
    finally:
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)

    while (await edge.client.get("/v1/tenants", headers=KEY)).status_code != 200:
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("path", ["/api/ms365/subscriptions", "/api/googlews/gmail/watch"])
async def test_a_path_of_the_api_beside_the_webhooks_has_the_limits_of_the_api(
    start_edge: StartEdge, path: str
) -> None:
    edge = await start_edge(api_per_second=1, api_burst=2)
    large = b'{"tenantId": "' + b"x" * 1024 * 1024 + b'"}'

    refused = await edge.client.post(path, headers=KEY, content=large)
    calls = [await edge.client.post(path, headers=KEY, content=b"{}") for _ in range(30)]

    assert 413 == refused.status_code
    assert 429 in {answer.status_code for answer in calls}
    assert len([call for call in edge.seen.calls if call[0] == "Check"]) < len(calls)


async def test_tls_listener_serves_both_http_versions(start_edge: StartEdge, certificates: MeshCertificates) -> None:
    identity = certificates.identity("simulator")
    edge = await start_edge(tls_certificate=identity.certificate, tls_key=identity.key)

    answer = await edge.client.get("/v1/tenants", headers=KEY)

    assert 200 == answer.status_code
