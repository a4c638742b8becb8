"""How an attempt to connect an account goes, as the key that began it reads it."""

import asyncio
from typing import Any

import asyncpg
import pytest

from mailmesh.vault.v1 import tenant_service_pb2 as pb
from services.meshkit.errors import MeshError
from tests.programs.vault import VaultGround, eventually
from tests.programs.vault_clients import ADMIN, Stubs, Walk

pytestmark = pytest.mark.timeout(300)

NOWHERE = "019a9f0e-7c1e-7000-8000-000000000002"
OPERATOR = (ADMIN[0], ("x-mailmesh-role", "operator"), ADMIN[2])
GMAIL = "https://www.googleapis.com/auth/gmail.readonly"


def limited(*tenants: str) -> tuple[tuple[str, str], ...]:
    return (ADMIN[0], ("x-mailmesh-role", "operator"), ("x-mailmesh-tenants", ",".join(tenants)))


async def told(edge: Stubs, flow_id: str, key: tuple[tuple[str, str], ...] = OPERATOR) -> Any:
    return await edge.tenants.GetAuthorization(pb.GetAuthorizationRequest(flow_id=flow_id), metadata=key)


async def reason(edge: Stubs, flow_id: str, key: tuple[tuple[str, str], ...] = OPERATOR) -> str:
    with pytest.raises(MeshError) as refused:
        await told(edge, flow_id, key)
    return refused.value.reason


async def account_of(served: VaultGround, provider: str) -> str:
    return str((await served.control.accounts(provider))[0]["address"])


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_an_attempt_is_pending_until_its_account_is_connected(
    served: VaultGround, edge: Stubs, provider: str
) -> None:
    started = await served.start_authorization(edge, provider)
    walk = Walk(edge, served.simulator)

    unopened = await told(edge, started.flow_id)
    back = await walk.consent(await walk.open(started.authorization_url), await account_of(served, provider))
    opened = await told(edge, started.flow_id.upper())
    await walk.complete(back)
    done = await told(edge, started.flow_id)
    listed = await edge.tenants.ListTenants(pb.ListTenantsRequest(), metadata=OPERATOR)

    waiting = pb.GetAuthorizationResponse(flow_id=started.flow_id, state=pb.AUTHORIZATION_STATE_PENDING)
    waiting.expires_at.CopyFrom(started.expires_at)
    assert waiting == unopened
    assert (started.flow_id, pb.AUTHORIZATION_STATE_PENDING, "") == (opened.flow_id, opened.state, opened.tenant_id)
    assert opened.expires_at.ToNanoseconds() >= started.expires_at.ToNanoseconds()
    assert (pb.AUTHORIZATION_STATE_CONNECTED, "", {}) == (done.state, done.reason, dict(done.metadata))
    assert [done.tenant_id] == [tenant.tenant_id for tenant in listed.tenants]


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_a_no_is_told_with_its_reason(served: VaultGround, edge: Stubs, provider: str) -> None:
    started = await served.start_authorization(edge, provider)
    account = await account_of(served, provider)
    await Walk(edge, served.simulator).whole(started.authorization_url, account, action="deny")

    found = await told(edge, started.flow_id)

    assert (pb.AUTHORIZATION_STATE_FAILED, "CONSENT_DENIED", "") == (found.state, found.reason, found.tenant_id)
    assert {"provider": provider} == dict(found.metadata)


async def test_a_scope_that_was_not_granted_is_told_by_name(served: VaultGround, edge: Stubs) -> None:
    account = "unticking@workspace.test"  # who has granted nothing before
    await served.control.create_account("googlews", account)
    started = await served.start_authorization(edge, "googlews")
    await Walk(edge, served.simulator).whole(started.authorization_url, account, untick=[GMAIL])

    found = await told(edge, started.flow_id)

    assert "SCOPE_NOT_GRANTED" == found.reason
    assert {"provider": "googlews", "scopes": GMAIL} == dict(found.metadata)


async def test_what_nobody_finished_in_time_has_failed(served: VaultGround, edge: Stubs) -> None:
    unopened = await served.start_authorization(edge, "ms365")
    opened = await served.start_authorization(edge, "ms365")
    await Walk(edge, served.simulator).open(opened.authorization_url)
    await served.fetch("UPDATE vault.authorization_flows SET expires_at = now() - interval '1 second'")

    found = [await told(edge, flow.flow_id) for flow in (unopened, opened)]

    assert [pb.AUTHORIZATION_STATE_FAILED] * 2 == [one.state for one in found]
    assert ["FLOW_STATE_INVALID"] * 2 == [one.reason for one in found]
    assert [{"provider": "ms365", "detail": "expired"}] * 2 == [dict(one.metadata) for one in found]


async def test_an_exchange_that_was_left_halfway_has_failed_in_the_end(served: VaultGround, edge: Stubs) -> None:
    started = await served.start_authorization(edge, "ms365")
    leave = "UPDATE vault.authorization_flows SET step = 'exchanging', expires_at = now() - make_interval(secs => $1)"

    await served.fetch(leave, 1)
    goes_on = await told(edge, started.flow_id)
    await served.fetch(leave, 120)
    is_over = await told(edge, started.flow_id)

    assert (pb.AUTHORIZATION_STATE_PENDING, pb.AUTHORIZATION_STATE_FAILED) == (goes_on.state, is_over.state)


async def test_a_limited_key_is_told_about_its_own_tenants_only(served: VaultGround, edge: Stubs) -> None:
    accounts = [await account_of(served, provider) for provider in ("ms365", "googlews")]
    own = await served.connect(edge, "ms365", accounts[0])
    other = await served.connect(edge, "googlews", accounts[1])
    anybodys = await served.start_authorization(edge, "ms365")
    again = await served.start_authorization(edge, "", tenant_id=own)
    (connected,) = await served.fetch(
        "SELECT flow_id::text FROM vault.authorization_flows WHERE tenant_id = $1 AND step = 'connected'", other
    )

    seen = await told(edge, again.flow_id, limited(own))
    reasons = [await reason(edge, flow, limited(own)) for flow in (anybodys.flow_id, connected["flow_id"], NOWHERE)]

    assert pb.AUTHORIZATION_STATE_PENDING == seen.state
    assert ["AUTHORIZATION_NOT_FOUND"] * 3 == reasons
    assert other == (await told(edge, connected["flow_id"], limited(own, other))).tenant_id
    assert "AUTHORIZATION_NOT_FOUND" == await reason(edge, again.flow_id, limited(other))


async def test_an_id_of_nothing_is_refused(served: VaultGround, edge: Stubs) -> None:
    pruned = await served.start_authorization(edge, "ms365")
    await served.fetch("DELETE FROM vault.authorization_flows")

    assert "AUTHORIZATION_NOT_FOUND" == await reason(edge, NOWHERE)
    assert "AUTHORIZATION_NOT_FOUND" == await reason(edge, pruned.flow_id)
    assert ["FIELD_INVALID"] * 3 == [await reason(edge, flow_id) for flow_id in ("", "nothing", f" {NOWHERE}")]


async def test_a_browser_that_comes_back_twice_at_once_does_not_end_its_own_attempt(
    served: VaultGround, edge: Stubs
) -> None:
    """Of two that wait for the same row one exchanges the code. The other one fails, but the attempt goes on."""
    started = await served.start_authorization(edge, "ms365")
    walk = Walk(edge, served.simulator)
    back = await walk.consent(await walk.open(started.authorization_url), await account_of(served, "ms365"))
    await served.control.add_fault("latency", endpoint="ms.token", seconds=2, count=1)
    calls = await _both_at_once(served, walk, back, started.flow_id)

    async def is_noted() -> bool:
        return ["FLOW_STATE_INVALID"] == [outcome for _, _, outcome in await served.audit("tenant.connect")]

    await eventually(is_noted)
    meanwhile = await told(edge, started.flow_id)
    pages = await asyncio.gather(*calls)

    assert pb.AUTHORIZATION_STATE_FAILED != meanwhile.state
    assert 1 == len(set(pages))
    assert pb.AUTHORIZATION_STATE_CONNECTED == (await told(edge, started.flow_id)).state


async def _both_at_once(served: VaultGround, walk: Walk, back: str, flow_id: str) -> "list[asyncio.Task[str]]":
    """Comes back twice while the flow's row is locked, and unlocks it when both wait."""
    connection = await asyncpg.connect(served.database.admin_url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM vault.authorization_flows WHERE flow_id = $1 FOR UPDATE", flow_id)
            calls = [asyncio.create_task(walk.complete(back)) for _ in range(2)]

            async def do_both_wait() -> bool:
                (row,) = await served.fetch(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND wait_event_type = 'Lock' AND query LIKE '%UPDATE vault.authorization_flows%'"
                )
                return int(row["count"]) == 2

            await eventually(do_both_wait)
    finally:
        await connection.close()
    return calls
