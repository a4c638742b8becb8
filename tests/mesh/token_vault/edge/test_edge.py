"""The whole way through the real edge: keys, roles, scopes, browsers, reflection, health."""

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from mailmesh.vault.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from simulator.browser import consent
from tests.mesh.token_vault.edge.conftest import Edge
from tests.programs.vault import eventually

pytestmark = pytest.mark.timeout(300)


async def test_a_browser_connects_through_the_edge(edge: Edge) -> None:
    account = (await edge.ground.control.accounts("ms365"))[0]["address"]
    started = (await edge.call("POST", "/v1/tenants:startAuthorization", edge.admin, provider="ms365")).json()

    async with edge.ground.simulator.browser() as browser:
        last = await consent(started["authorizationUrl"], account, client=browser)
        cookies = dict(browser.cookies)
    told = (await edge.call("GET", f"/v1/authorizations/{started['flowId']}", edge.admin)).json()
    listed = (await edge.call("GET", "/v1/tenants", edge.admin)).json()
    old_path = (await edge.call("GET", "/auth/tenants", edge.admin)).json()

    assert last.status_code == 200
    assert "Your account is connected" in last.text
    assert "default-src 'none'" in last.headers["content-security-policy"]
    assert last.headers["content-type"].startswith("text/html")
    assert {} == cookies
    assert [account] == [tenant["address"] for tenant in listed["tenants"]]
    assert ("AUTHORIZATION_STATE_CONNECTED", listed["tenants"][0]["tenantId"]) == (told["state"], told["tenantId"])
    assert listed == old_path


async def test_without_a_good_key_nothing_is_told(edge: Edge) -> None:
    unknown = "mm_" + "A" * 10 + "_" + "b" * 43
    nearly = edge.admin[:-1] + ("y" if edge.admin.endswith("x") else "x")
    answers = [await edge.call("GET", "/v1/tenants", key) for key in ("", "nonsense", unknown, nearly)]

    assert [401] * 4 == [answer.status_code for answer in answers]
    assert 1 == len({answer.text for answer in answers})
    detail = answers[0].json()["details"][0]
    assert ("API_KEY_INVALID", "mailmesh") == (detail["reason"], detail["domain"])


async def test_roles_decide_what_a_key_may_do(edge: Edge) -> None:
    keys = {role: (await edge.key(role=f"ROLE_{role.upper()}"))[1] for role in ("reader", "operator")}
    start = ("POST", "/v1/tenants:startAuthorization")
    ways = {
        ("reader", "list"): await edge.call("GET", "/v1/tenants", keys["reader"]),
        ("reader", "connect"): await edge.call(*start, keys["reader"], provider="ms365"),
        ("operator", "connect"): await edge.call(*start, keys["operator"], provider="ms365"),
        ("operator", "keys"): await edge.call("GET", "/v1/api-keys", keys["operator"]),
        ("operator", "audit"): await edge.call("GET", "/v1/audit", keys["operator"]),
        ("admin", "audit"): await edge.call("GET", "/v1/audit", edge.admin),
    }

    assert [200, 403, 200, 403, 403, 200] == [answer.status_code for answer in ways.values()]
    denied = ways["reader", "connect"].json()["details"][0]
    assert "ROLE_TOO_LOW" == denied["reason"]
    assert {"required_role": "operator", "role": "reader"} == denied["metadata"]


async def test_native_grpc_is_refused_with_its_own_details(edge: Edge) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{edge.port}", [("grpc.enable_http_proxy", 0)]) as channel:
        stub: Any = tenant_service_pb2_grpc.TenantServiceStub(channel)
        request = tenant_service_pb2.ListTenantsRequest()
        listed = await stub.ListTenants(request, metadata=(("authorization", f"Bearer {edge.admin}"),), timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ListTenants(request, timeout=10)

    status = rpc_status.from_call(refused.value)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    assert grpc.StatusCode.UNAUTHENTICATED == refused.value.code()
    assert "API_KEY_INVALID" == info.reason
    assert [] == list(listed.tenants)


async def test_a_revoked_key_is_refused_within_seconds(edge: Edge) -> None:
    key_id, key = await edge.key(role="ROLE_READER")
    before = await edge.call("GET", "/v1/tenants", key)

    revoked = await edge.call("POST", f"/v1/api-keys/{key_id}:revoke", edge.admin)
    again = await edge.call("POST", f"/v1/api-keys/{key_id}:revoke", edge.admin)

    async def is_refused() -> bool:
        return (await edge.call("GET", "/v1/tenants", key)).status_code == 401

    assert 200 == before.status_code
    assert revoked.json() == again.json()
    assert await eventually(is_refused, 20)
    listed = (await edge.call("GET", "/v1/api-keys", edge.admin)).json()["apiKeys"]
    everything = (await edge.call("GET", "/v1/api-keys?includeRevoked=true", edge.admin)).json()["apiKeys"]
    assert key_id not in [one["apiKeyId"] for one in listed]
    assert key_id in [one["apiKeyId"] for one in everything]


async def test_a_key_that_ends_by_itself_ends(edge: Edge) -> None:
    end = (datetime.now(UTC) + timedelta(seconds=6)).isoformat()
    _, key = await edge.key(role="ROLE_READER", expiresAt=end)

    async def is_refused() -> bool:
        return (await edge.call("GET", "/v1/tenants", key)).status_code == 401

    assert 200 == (await edge.call("GET", "/v1/tenants", key)).status_code
    assert await eventually(is_refused)


async def test_a_key_never_makes_a_wider_key(edge: Edge) -> None:
    accounts = [(await edge.ground.control.accounts(provider))[0]["address"] for provider in ("ms365", "googlews")]
    stubs = await edge.ground.stubs(edge.ground.processes[0], "envoy")
    edge.ground.settings["MAILMESH_PUBLIC_URL"] = edge.url
    tenants = []
    for provider, account in zip(("ms365", "googlews"), accounts, strict=True):
        started = await edge.ground.start_authorization(stubs, provider)
        async with edge.ground.simulator.browser() as browser:
            await consent(started.authorization_url, account, client=browser)
    listed = (await edge.call("GET", "/v1/tenants", edge.admin)).json()["tenants"]
    tenants = [tenant["tenantId"] for tenant in listed]
    end = datetime.now(UTC) + timedelta(hours=1)
    _, limited = await edge.key(role="ROLE_ADMIN", tenantIds=tenants[:1], expiresAt=end.isoformat())

    async def made(**wanted: Any) -> httpx.Response:
        return await edge.call("POST", "/v1/api-keys", limited, displayName="more", **wanted)

    wide = [
        await made(role="ROLE_ADMIN"),
        await made(role="ROLE_READER", tenantIds=tenants),
        await made(role="ROLE_READER", tenantIds=tenants[:1], expiresAt=(end + timedelta(hours=1)).isoformat()),
    ]
    narrow = await made(role="ROLE_READER", tenantIds=tenants[:1])
    seen = (await edge.call("GET", "/v1/tenants", limited)).json()["tenants"]
    other = await edge.call("GET", f"/v1/tenants/{tenants[1]}", limited)
    keys = (await edge.call("GET", "/v1/api-keys", limited)).json()["apiKeys"]
    trail = (await edge.call("GET", "/v1/audit", limited)).json()["auditEntries"]

    assert [403] * 3 == [answer.status_code for answer in wide]
    assert {"SCOPE_TOO_WIDE"} == {answer.json()["details"][0]["reason"] for answer in wide}
    assert 200 == narrow.status_code
    assert narrow.json()["apiKey"]["expiresAt"]
    assert tenants[:1] == [tenant["tenantId"] for tenant in seen]
    assert 404 == other.status_code
    assert {tuple(tenants[:1])} == {tuple(key["tenantIds"]) for key in keys}
    assert {tenants[0]} == {entry["tenantId"] for entry in trail}


async def test_creating_a_key_twice_with_one_request_id_makes_one(edge: Edge) -> None:
    request = {"displayName": "n8n", "role": "ROLE_READER", "requestId": "019a9f0e-7c1e-7000-8000-000000000001"}

    first, second = [await edge.call("POST", "/v1/api-keys", edge.admin, **request) for _ in range(2)]
    other = await edge.call("POST", "/v1/api-keys", edge.admin, **{**request, "displayName": "other"})

    assert first.json()["apiKey"] == second.json()["apiKey"]
    assert first.json()["secret"].startswith(first.json()["apiKey"]["prefix"])
    assert "" == second.json()["secret"]
    assert (400, "REQUEST_ID_REUSED") == (other.status_code, other.json()["details"][0]["reason"])


async def test_identity_headers_from_outside_are_worth_nothing(edge: Edge) -> None:
    _, key = await edge.key(role="ROLE_READER")
    forged = {"x-mailmesh-role": "admin", "x-mailmesh-tenants": "*", "x-mailmesh-key-id": "me"}

    without = await edge.http.get("/v1/api-keys", headers=forged)
    with_key = await edge.http.get("/v1/api-keys", headers={**forged, "authorization": f"Bearer {key}"})

    assert (401, 403) == (without.status_code, with_key.status_code)


async def test_the_mesh_door_is_not_at_the_edge(edge: Edge) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{edge.port}", [("grpc.enable_http_proxy", 0)]) as channel:
        issue = channel.unary_unary("/mailmesh.vault.v1.TokenVaultService/IssueToken")
        check = channel.unary_unary("/envoy.service.auth.v3.Authorization/Check")
        codes = []
        for method in (issue, check):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await method(b"", metadata=(("authorization", f"Bearer {edge.admin}"),), timeout=10)
            codes.append(refused.value.code())

    assert grpc.StatusCode.OK not in codes
    assert {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED} >= set(codes)


async def test_reflection_and_health_need_no_key_and_show_the_edge_only(edge: Edge) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{edge.port}", [("grpc.enable_http_proxy", 0)]) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        state = await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        questions = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="mailmesh.vault.v1.TenantService"),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="mailmesh.vault.v1.TokenVaultService"),
        ]
        answers = [answer async for answer in reflection.ServerReflectionInfo(iter(questions), timeout=10)]

    names = {service.name for service in answers[0].list_services_response.service}
    assert health_pb2.HealthCheckResponse.SERVING == state.status
    assert {"mailmesh.vault.v1.TenantService", "mailmesh.processor.v1.EventService"} <= names
    assert "mailmesh.vault.v1.TokenVaultService" not in names
    assert answers[1].file_descriptor_response.file_descriptor_proto
    assert answers[2].HasField("error_response")


async def test_a_question_to_reflection_without_the_header_of_trailers_is_answered(edge: Edge) -> None:
    """The service would reset the stream, and the edge would report it as unavailable."""
    question = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    async with httpx.AsyncClient(http1=False, http2=True, timeout=30, trust_env=False) as client:
        answer = await client.post(
            f"http://127.0.0.1:{edge.port}/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            content=b"\0" + len(question).to_bytes(4, "big") + question,
            headers={"content-type": "application/grpc"},
        )

    assert "grpc-status" not in answer.headers
    assert b"mailmesh.vault.v1.TenantService" in answer.content


async def test_the_audit_log_pages_and_says_who(edge: Edge) -> None:
    for _ in range(3):
        await edge.key(role="ROLE_READER")

    first = (await edge.call("GET", "/v1/audit?pageSize=2&action=api_key.create", edge.admin)).json()
    token = first["nextPageToken"]
    second = (
        await edge.call("GET", f"/v1/audit?pageSize=2&action=api_key.create&pageToken={token}", edge.admin)
    ).json()
    entries = [*first["auditEntries"], *second["auditEntries"]]

    assert 4 == len({entry["auditEntryId"] for entry in entries})
    assert sorted((entry["occurredAt"] for entry in entries), reverse=True) == [
        entry["occurredAt"] for entry in entries
    ]
    assert "command" == entries[-1]["actor"]
    assert all(entry["actor"].startswith("key:") for entry in entries[:-1])


async def test_a_key_of_a_thousand_tenants_works(edge: Edge) -> None:
    await edge.ground.fetch(
        "INSERT INTO vault.tenants (tenant_id, provider, external_account, status, status_changed_at, connected_at,"
        " created_at, updated_at) SELECT gen_random_uuid(), 'ms365', n::text, 'active', now(), now(), now(), now()"
        " FROM generate_series(1, 1000) n"
    )
    tenants = [str(row[0]) for row in await edge.ground.fetch("SELECT tenant_id FROM vault.tenants")]
    _, key = await edge.key(role="ROLE_READER", tenantIds=tenants)
    answers = [await edge.call("GET", "/v1/tenants", key) for _ in range(5)]

    assert [200] * 5 == [answer.status_code for answer in answers], answers[0].text


async def test_when_tokenvault_is_gone_the_edge_lets_nobody_in(edge: Edge) -> None:
    """The last test here: there is no TokenVault afterwards."""
    edge.ground.processes[0].kill()

    answer = await edge.call("GET", "/v1/tenants", edge.admin)

    assert answer.status_code in {403, 503}
    assert "tenants" not in answer.json()
