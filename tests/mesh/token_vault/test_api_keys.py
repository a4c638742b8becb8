"""API keys: the last admin key, and an installation with a thousand keys."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from envoy.service.auth.v3 import external_auth_pb2
from envoy.service.auth.v3.external_auth_pb2_grpc import AuthorizationStub

from mailmesh.access.v1 import access_pb2
from mailmesh.vault.v1 import api_key_service_pb2 as pb
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from tests.programs.vault import VaultGround
from tests.programs.vault_clients import Stubs

pytestmark = pytest.mark.timeout(300)

THOUSAND = 1000
Metadata = tuple[tuple[str, str], ...]


def admin(key_id: str) -> Metadata:
    return (("x-mailmesh-key-id", key_id), ("x-mailmesh-role", "admin"), ("x-mailmesh-tenants", "*"))


async def first_key(served: VaultGround) -> str:
    code, _, errors = await served.run("create-admin-key", "--name", "first")
    assert code == 0, errors
    (row,) = await served.fetch("SELECT api_key_id::text FROM vault.api_keys")
    return str(row["api_key_id"])


async def another(edge: Stubs, maker: str, role: Any = access_pb2.ROLE_ADMIN, **fields: Any) -> str:
    request = pb.CreateApiKeyRequest(display_name="another", role=role, **fields)
    return str((await edge.api_keys.CreateApiKey(request, metadata=admin(maker))).api_key.api_key_id)


async def revoked(edge: Stubs, caller: str, key_id: str) -> str:
    """Revokes a key, and returns the reason of the refusal; empty when it was revoked."""
    try:
        await edge.api_keys.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=key_id), metadata=admin(caller))
    except MeshError as error:
        return error.reason
    return ""


async def good_admins(served: VaultGround) -> int:
    rows = await served.fetch(
        "SELECT 1 FROM vault.api_keys WHERE role = 'admin' AND cardinality(tenant_ids) = 0 AND revoked_at IS NULL"
    )
    return len(rows)


async def test_the_last_admin_key_stays(served: VaultGround, edge: Stubs) -> None:
    first = await first_key(served)
    reader = await another(edge, first, access_pb2.ROLE_READER)

    alone = await revoked(edge, first, first)
    second = await another(edge, first)
    by_second = await revoked(edge, second, first)
    last = await revoked(edge, second, second)

    assert ("LAST_ADMIN_KEY", "", "LAST_ADMIN_KEY") == (alone, by_second, last)
    assert "" == await revoked(edge, second, first)  # repeating is safe
    assert "" == await revoked(edge, second, reader)
    assert 1 == await good_admins(served)
    with pytest.raises(MeshError) as error:
        await edge.api_keys.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=second), metadata=admin(second))
    assert "create another one" in error.value.message


async def test_an_admin_key_that_ends_earlier_does_not_replace_the_last_one(served: VaultGround, edge: Stubs) -> None:
    first = await first_key(served)
    soon = await another(edge, first, expires_at=datetime.now(UTC) + timedelta(hours=1))
    later = await another(edge, first, expires_at=datetime.now(UTC) + timedelta(hours=2))
    limited = await served.fetch(
        "INSERT INTO vault.api_keys SELECT gen_random_uuid(), 'limited', 'limited', digest, role, $1, created_at, NULL,"
        " NULL, NULL, created_by FROM vault.api_keys WHERE api_key_id = $2 RETURNING api_key_id::text",
        [new_id()],
        first,
    )

    assert "LAST_ADMIN_KEY" == await revoked(edge, soon, first)
    assert "" == await revoked(edge, first, soon)
    assert "" == await revoked(edge, first, str(limited[0]["api_key_id"]))
    await served.fetch(
        "UPDATE vault.api_keys SET expires_at = now() - interval '1 second' WHERE api_key_id = $1", later
    )
    assert "" == await revoked(edge, first, later)  # it has expired
    assert "LAST_ADMIN_KEY" == await revoked(edge, first, first)


async def test_two_admins_that_revoke_each_other_at_once_leave_one(served: VaultGround, edge: Stubs) -> None:
    first = await first_key(served)
    for _ in range(10):
        second = await another(edge, first)
        results = await asyncio.gather(revoked(edge, first, second), revoked(edge, second, first))

        assert ["", "LAST_ADMIN_KEY"] == sorted(results)
        assert 1 == await good_admins(served)
        first = first if results[0] == "" else second


async def test_a_thousand_keys_are_authorized_and_listed_right(served: VaultGround, edge: Stubs) -> None:
    """Every third key is limited to a tenant, every fifth is revoked; all of them ask at once, and once more."""
    first, authz = await first_key(served), AuthorizationStub(edge.channel)
    tenant_id = new_id()
    keys = await _insert(served, tenant_id)

    async def check(key: str) -> tuple[int, str]:
        request = external_auth_pb2.CheckRequest()
        request.attributes.request.http.path = "/mailmesh.vault.v1.TenantService/ListTenants"
        request.attributes.request.http.headers["authorization"] = f"Bearer {key}"
        answer = await authz.Check(request, timeout=60)
        headers = {one.header.key: one.header.value for one in answer.ok_response.headers}
        return answer.status.code, headers.get("x-mailmesh-tenants", "")

    expected = [(16, "") if n % 5 == 0 else (0, tenant_id if n % 3 == 0 else "*") for n in range(THOUSAND)]
    for _ in range(2):
        assert expected == await asyncio.gather(*(check(key) for key in keys))
    forged = await asyncio.gather(*(check(key[:-1] + "x") for key in keys))

    assert [(16, "")] * THOUSAND == forged
    good = [row.display_name for row in await listed(edge, first, page_size=73)]
    assert ["first", *(f"key {number}" for number in range(THOUSAND) if number % 5)] == good
    assert THOUSAND + 1 == len(await listed(edge, first, include_revoked=True, page_size=1000))


async def test_a_refusal_of_a_request_that_is_no_grpc_has_a_body(served: VaultGround, edge: Stubs) -> None:
    """A path of REST that no route fits comes as it is, without the mark of the transcoder."""
    key, authz = (await _insert(served, new_id()))[1], AuthorizationStub(edge.channel)

    async def refused(**headers: str) -> external_auth_pb2.DeniedHttpResponse:
        request = external_auth_pb2.CheckRequest()
        request.attributes.request.http.path = "/v1/tenants/x/messages/:raw"
        request.attributes.request.http.headers.update({"authorization": f"Bearer {key}", **headers})
        return (await authz.Check(request, timeout=60)).denied_response

    rest, grpc = await refused(), await refused(**{"content-type": "application/grpc"})

    assert (404, "ROUTE_NOT_FOUND") == (rest.status.code, json.loads(rest.body)["details"][0]["reason"])
    assert ("", "5") == (grpc.body, {one.header.key: one.header.value for one in grpc.headers}["grpc-status"])


async def _insert(served: VaultGround, tenant_id: str) -> list[str]:
    """Stores a thousand keys of role reader, and returns them."""
    await served.fetch(
        "INSERT INTO vault.api_keys (api_key_id, display_name, prefix, digest, role, tenant_ids, created_at,"
        " revoked_at, created_by)"
        " SELECT gen_random_uuid(), 'key ' || n, lpad(n::text, 10, '0'),"
        " sha256(convert_to('mm_' || lpad(n::text, 10, '0') || '_' || repeat('s', 43), 'UTF8')), 'reader',"
        " CASE WHEN n % 3 = 0 THEN ARRAY[$1::uuid] ELSE '{}' END, now() + n * interval '1 microsecond',"
        " CASE WHEN n % 5 = 0 THEN now() END, 'test' FROM generate_series(0, $2::int - 1) AS n",
        tenant_id,
        THOUSAND,
    )
    return [f"mm_{number:010d}_{'s' * 43}" for number in range(THOUSAND)]


async def listed(edge: Stubs, caller: str, **fields: Any) -> list[Any]:
    """Lists all keys, page by page."""
    found: list[Any] = []
    token = ""
    while True:
        request = pb.ListApiKeysRequest(page_token=token, **fields)
        page = await edge.api_keys.ListApiKeys(request, metadata=admin(caller))
        found += page.api_keys
        token = page.next_page_token
        if not token:
            return found
