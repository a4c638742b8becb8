"""Several processes on one database, and what remains when one dies at the worst moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from mailmesh.vault.v1.token_vault_service_pb2 import IssueTokenRequest
from services.meshkit.errors import MeshError
from tests.programs.vault import VaultGround, eventually

pytestmark = pytest.mark.timeout(300)

ENDPOINTS = {"ms365": "ms.token", "googlews": "google.token"}


async def connected(ground: VaultGround, provider: str) -> str:
    edge = await ground.stubs(ground.processes[-1], "envoy")
    account = (await ground.control.accounts(provider))[0]["address"]
    return await ground.connect(edge, provider, account)


@asynccontextmanager
async def row_locked(ground: VaultGround, tenant_id: str) -> AsyncIterator[None]:
    """Holds the row of a tenant's tokens, so that each writer waits."""
    connection = await asyncpg.connect(ground.database.admin_url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM vault.tenant_tokens WHERE tenant_id = $1 FOR UPDATE", tenant_id)
            yield
    finally:
        await connection.close()


@pytest.mark.parametrize("provider", list(ENDPOINTS))
async def test_fifty_callers_in_five_processes_cause_one_refresh(ground: VaultGround, provider: str) -> None:
    quiet = {"MAILMESH_VAULT_REFRESH_INTERVAL_SECONDS": "3600"}  # refreshed for callers alone
    processes = [await ground.start(**quiet) for _ in range(5)]
    tenant_id = await connected(ground, provider)
    callers = [await ground.stubs(process, "ingest") for process in processes]
    await ground.expire(tenant_id)
    await ground.control.reset_calls()
    await ground.control.add_fault("latency", endpoint=ENDPOINTS[provider], seconds=0.5)

    request = IssueTokenRequest(tenant_id=tenant_id)
    answers = await asyncio.gather(*(caller.mesh.IssueToken(request, timeout=60) for caller in callers * 10))

    assert 50 == len(answers)
    assert 1 == len({answer.access_token for answer in answers})
    assert 1 == await ground.control.call_count(ENDPOINTS[provider])
    assert 50 == len(await ground.audit("token.issue"))
    assert [("token-vault", tenant_id, "ok")] == await ground.audit("token.refresh")


@pytest.mark.parametrize("provider", list(ENDPOINTS))
async def test_a_tenant_works_on_after_a_kill_between_refresh_and_commit(ground: VaultGround, provider: str) -> None:
    patience = {"MAILMESH_VAULT_PROVIDER_TIMEOUT_SECONDS": "4", "MAILMESH_VAULT_REFRESH_INTERVAL_SECONDS": "3600"}
    doomed, other = await ground.start(**patience), await ground.start(**patience)
    tenant_id = await connected(ground, provider)
    await ground.expire(tenant_id)
    await ground.control.reset_calls()
    await ground.control.add_fault("latency", endpoint=ENDPOINTS[provider], seconds=2.5, count=1)
    caller = await ground.stubs(doomed, "ingest")
    asking = asyncio.create_task(_issue(caller, tenant_id))

    async def is_claimed() -> bool:
        return bool(await ground.fetch("SELECT 1 FROM vault.tenant_tokens WHERE refresh_owner IS NOT NULL"))

    async def is_answered_and_uncommitted() -> bool:
        waiting = (
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%UPDATE vault.tenant_t%'"
        )
        return bool(await ground.control.call_count(ENDPOINTS[provider])) and bool(await ground.fetch(waiting))

    await eventually(is_claimed)
    async with row_locked(ground, tenant_id):
        await eventually(is_answered_and_uncommitted)
        doomed.kill()
    lost = await asking
    survivor = await ground.stubs(other, "ingest")
    # The claim of the dead holds for twice the provider's time and five seconds.
    lent = await survivor.mesh.IssueToken(IssueTokenRequest(tenant_id=tenant_id), timeout=30)

    assert isinstance(lost, MeshError)
    assert lent.access_token
    assert ("active", "") == await ground.status(tenant_id)


async def _issue(caller: Any, tenant_id: str) -> Any:
    try:
        return await caller.mesh.IssueToken(IssueTokenRequest(tenant_id=tenant_id), timeout=20)
    except MeshError as exc:
        return exc


async def test_a_refresh_that_a_reconnect_overtook_writes_nothing(ground: VaultGround) -> None:
    process = await ground.start(MAILMESH_VAULT_REFRESH_INTERVAL_SECONDS="3600")
    tenant_id = await connected(ground, "ms365")
    await ground.expire(tenant_id)
    await ground.control.add_fault("latency", endpoint="ms.token", seconds=8, count=1)
    await ground.control.add_fault("invalid_grant", endpoint="ms.token", count=1)
    caller = await ground.stubs(process, "ingest")
    asking = asyncio.create_task(_issue(caller, tenant_id))

    async def is_claimed() -> bool:
        return bool(await ground.fetch("SELECT 1 FROM vault.tenant_tokens WHERE refresh_owner IS NOT NULL"))

    await eventually(is_claimed)
    await connected(ground, "ms365")
    answer = await asking

    assert ("active", "") == await ground.status(tenant_id)
    assert answer.access_token


async def test_tokens_are_refreshed_ahead_by_all_processes_together(ground: VaultGround) -> None:
    often = {"MAILMESH_VAULT_REFRESH_INTERVAL_SECONDS": "0.2"}
    for _ in range(2):
        await ground.start(**often)
    tenants = [await connected(ground, provider) for provider in ENDPOINTS]
    await ground.control.reset_calls()
    for tenant_id in tenants:
        await ground.expire(tenant_id)

    async def are_all_fresh() -> bool:
        fresh = await ground.fetch(
            "SELECT 1 FROM vault.tenant_tokens WHERE expires_at > now() AND next_refresh_at > now()"
        )
        return len(fresh) == len(tenants)

    await eventually(are_all_fresh)

    assert {1} == {await ground.control.call_count(endpoint) for endpoint in ENDPOINTS.values()}
    assert ["ok"] * 2 == [outcome for _, _, outcome in await ground.audit("token.refresh")]


async def test_a_broken_grant_is_found_in_the_background(ground: VaultGround) -> None:
    process = await ground.start(MAILMESH_VAULT_REFRESH_INTERVAL_SECONDS="0.2")
    tenant_id = await connected(ground, "googlews")
    await ground.control.add_fault("invalid_grant", endpoint="google.token")
    await ground.expire(tenant_id)

    async def is_marked() -> bool:
        return await ground.status(tenant_id) == ("needs_reauthorization", "grant_revoked")

    await eventually(is_marked)
    calls = await ground.control.call_count("google.token", status=400)

    assert 1 == calls
    assert 0 == process.stop()
    assert 0 == len(await ground.fetch("SELECT 1 FROM vault.processes"))
