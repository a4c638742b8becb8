"""The edge with the real Envoy: routes, doors, statuses."""

from collections.abc import AsyncIterator

import grpc
import httpx
import pytest
import pytest_asyncio

from gateway.contract import descriptor_path, services
from mailmesh.access.v1 import access_pb2
from mailmesh.ingest.v1 import ingest_service_pb2, ingest_service_pb2_grpc
from mailmesh.vault.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from stack.certificates import MeshCertificates
from tests.gateway.conftest import ADMIN_KEY, READER_KEY, Edge, edges, error_of
from tests.programs.envoy import envoys

# All tests here share an edge, whose services live in one event loop.
pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = {"authorization": f"Bearer {ADMIN_KEY}"}
MESH_METHODS = [
    f"/{service.name}/{method}"
    for service in services(descriptor_path())
    if service.door == access_pb2.DOOR_MESH
    for method in service.methods
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(certificates: MeshCertificates, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    """An edge with the default limits."""
    with envoys(tmp_path_factory.mktemp("edge")) as start_envoy:
        async with edges(certificates, start_envoy) as start:
            yield await start()


@pytest.fixture
def edge(shared: Edge) -> Edge:
    """The edge of all tests here, which change nothing of it."""
    shared.seen.calls.clear()
    return shared


async def test_validation_token_is_answered_decoded_as_plain_text_by_get_and_post(edge: Edge) -> None:
    for method in ("GET", "POST"):
        answer = await edge.client.request(
            method,
            "/api/ms365/webhook?validationToken=a%20b%2Bc%3D%C3%A9&s=019a",
            headers={"content-type": "text/plain; charset=utf-8"},
        )

        assert (200, "text/plain", "a b+c=é".encode(), "nosniff") == (
            answer.status_code,
            answer.headers["content-type"],
            answer.content,
            answer.headers["x-content-type-options"],
        )


async def test_notification_arrives_byte_by_byte_and_is_answered_202(edge: Edge) -> None:
    body = b'{"value": [ {"unknown":  1} ] }\n'

    answer = await edge.client.post(
        "/api/ms365/webhook?s=019a&someday=1", content=body, headers={"content-type": "application/json"}
    )

    assert (202, b"") == (answer.status_code, answer.content)
    _, request, metadata = edge.seen.last
    assert (body, "application/json", "019a") == (
        request.payload.data,
        request.payload.content_type,
        request.subscription_id,
    )
    assert answer.headers["x-request-id"] == metadata["x-request-id"]


async def test_push_without_settings_for_pushes_reaches_the_service_without_claims(edge: Edge) -> None:
    answer = await edge.client.post(
        "/api/googlews/webhook", content=b"{}", headers={"x-mailmesh-push-claims": "forged"}
    )

    assert 204 == answer.status_code
    assert "content-length" not in answer.headers
    assert "x-mailmesh-push-claims" not in edge.seen.last[2]


async def test_redirect_carries_location_and_cookie(edge: Edge) -> None:
    answer = await edge.client.get("/auth/oauth/ms365/authorize?ticket=t&extra=1")

    assert (302, "https://login.example/", "a=1; HttpOnly") == (
        answer.status_code,
        answer.headers["location"],
        answer.headers["set-cookie"],
    )


async def test_key_reaches_the_authority_and_no_further(edge: Edge) -> None:
    answer = await edge.client.get("/v1/tenants?pageSize=7", headers=KEY)

    assert (200, "more") == (answer.status_code, answer.json()["nextPageToken"])
    assert "/mailmesh.vault.v1.TenantService/ListTenants" == edge.seen.calls[0][1]
    rpc, request, metadata = edge.seen.last
    assert ("ListTenants", 7) == (rpc, request.page_size)
    assert "authorization" not in metadata
    assert "admin" == metadata["x-mailmesh-role"]


async def test_identity_headers_from_outside_are_taken_off(edge: Edge) -> None:
    forged = {
        "x-mailmesh-role": "admin",
        "x-mailmesh-key-id": "forged",
        "x-mailmesh-tenants": "*",
        "X-Mailmesh-Other": "1",
    }

    answer = await edge.client.get("/v1/tenants", headers=KEY | forged)

    assert 200 == answer.status_code
    metadata = edge.seen.last[2]
    assert (ADMIN_KEY, None) == (metadata["x-mailmesh-key-id"], metadata.get("x-mailmesh-other"))


@pytest.mark.parametrize(
    "path",
    ["/v1/tenants", "/v1/events", "/v1/subscriptions", "/v1/api-keys", "/v1/audit", "/v1/pipeline", "/auth/tenants"],
)
async def test_without_a_key_the_api_answers_401_as_status(edge: Edge, path: str) -> None:
    answer = await edge.client.get(path)

    assert 401 == answer.status_code
    assert (16, "API_KEY_INVALID") == error_of(answer)


async def test_role_too_low_is_403_as_status(edge: Edge) -> None:
    answer = await edge.client.post(
        "/v1/tenants:startAuthorization", json={}, headers={"authorization": f"Bearer {READER_KEY}"}
    )

    assert 403 == answer.status_code
    assert (7, "ROLE_TOO_LOW") == error_of(answer)


async def test_native_grpc_is_checked_like_rest(edge: Edge) -> None:
    async with grpc.aio.insecure_channel(edge.address) as channel:
        tenants = tenant_service_pb2_grpc.TenantServiceStub(channel)
        good = await tenants.ListTenants(
            tenant_service_pb2.ListTenantsRequest(), metadata=tuple(KEY.items()), timeout=30
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await tenants.ListTenants(tenant_service_pb2.ListTenantsRequest(), timeout=30)

    assert "more" == good.next_page_token
    assert grpc.StatusCode.UNAUTHENTICATED == refused.value.code()


async def test_status_of_a_service_becomes_http_status_and_json(edge: Edge) -> None:
    answer = await edge.client.get("/v1/tenants/019a", headers=KEY)

    assert 404 == answer.status_code
    assert (5, "TENANT_NOT_FOUND") == error_of(answer)


async def test_status_of_native_grpc_is_not_touched_by_the_http_status(edge: Edge) -> None:
    async with grpc.aio.insecure_channel(edge.address) as channel:
        call = ingest_service_pb2_grpc.IngestServiceStub(channel).ReceiveGraphNotifications(
            ingest_service_pb2.ReceiveGraphNotificationsRequest(), timeout=30
        )
        await call

        assert grpc.StatusCode.OK == await call.code()


@pytest.mark.parametrize("path", ["/v1/nothing", "/", "/api/other", "/auth/oauth/ms365/other", "/admin"])
async def test_unknown_path_is_404_as_status(edge: Edge, path: str) -> None:
    answer = await edge.client.get(path, headers=KEY)

    assert 404 == answer.status_code
    assert (5, "ROUTE_NOT_FOUND") == error_of(answer)


async def test_unknown_query_parameter_is_refused_on_the_api(edge: Edge) -> None:
    answer = await edge.client.get("/v1/tenants?pagesize=1", headers=KEY)

    assert 400 == answer.status_code
    assert (3, "FIELD_INVALID") == error_of(answer)


async def test_json_that_is_no_json_is_400_as_status(edge: Edge) -> None:
    answer = await edge.client.post("/v1/tenants:startAuthorization", content=b"{nope", headers=KEY)

    assert 400 == answer.status_code
    assert (3, "FIELD_INVALID") == error_of(answer)


async def test_four_mebibytes_of_webhook_are_taken(edge: Edge) -> None:
    answer = await edge.client.post("/api/ms365/webhook", content=b"x" * (4 * 1024 * 1024 - 1024))

    assert 202 == answer.status_code
    assert 4 * 1024 * 1024 - 1024 == len(edge.seen.last[1].payload.data)


async def test_stream_arrives_as_server_sent_events(edge: Edge) -> None:
    answer = await edge.client.get("/v1/events:stream", headers=KEY | {"last-event-id": "7"})

    assert (200, "text/event-stream") == (answer.status_code, answer.headers["content-type"])
    assert b"id: 0\ndata: {}\n\nid: 1\ndata: {}\n\nid: 2\ndata: {}\n\n" == answer.content
    assert "7" == edge.seen.last[2]["last-event-id"]


@pytest.mark.parametrize("method", MESH_METHODS)
async def test_rpcs_of_the_mesh_cannot_be_reached_through_the_edge(edge: Edge, method: str) -> None:
    async with grpc.aio.insecure_channel(edge.address) as channel:
        call = channel.unary_unary(method)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"", metadata=tuple(KEY.items()), timeout=30)
    async with httpx.AsyncClient() as client:
        plain = await client.post(f"http://{edge.address}{method}", headers=KEY, content=b"{}")

    assert grpc.StatusCode.UNIMPLEMENTED == refused.value.code()
    assert 404 == plain.status_code
    assert [] == [call for call in edge.seen.calls if call[0] != "Check"]


async def test_old_paths_of_earlier_plans_are_answered(edge: Edge) -> None:
    listed = await edge.client.get("/auth/tenants", headers=KEY)
    deleted = await edge.client.delete("/auth/tenants/019a", headers=KEY)

    assert (200, 200) == (listed.status_code, deleted.status_code)
    assert ("DisconnectTenant", "019a") == (edge.seen.last[0], edge.seen.last[1].tenant_id)
