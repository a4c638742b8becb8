"""Tenants in the scope of a key, their log of changes, the connection test, faults, disconnecting."""

import asyncio
from typing import Any

import pytest

from mailmesh.vault.v1 import tenant_pb2, tenant_service_pb2, token_vault_service_pb2
from services.meshkit.errors import MeshError
from tests.programs.vault import VaultGround, eventually
from tests.programs.vault_clients import ADMIN, Stubs

pytestmark = pytest.mark.timeout(300)

NOWHERE = "019a9f0e-7c1e-7000-8000-000000000002"


def scoped(role: str, *tenants: str) -> tuple[tuple[str, str], ...]:
    return (ADMIN[0], ("x-mailmesh-role", role), ("x-mailmesh-tenants", ",".join(tenants) or "*"))


async def both(served: VaultGround, edge: Stubs) -> tuple[str, str]:
    accounts = [(await served.control.accounts(provider))[0]["address"] for provider in ("ms365", "googlews")]
    return await served.connect(edge, "ms365", accounts[0]), await served.connect(edge, "googlews", accounts[1])


async def follow(ingest: Stubs, cursor: str = "", **fields: Any) -> Any:
    request = token_vault_service_pb2.ListTenantChangesRequest(cursor=cursor, **fields)
    return await ingest.mesh.ListTenantChanges(request, timeout=30)


async def reason_of(call: Any) -> str:
    with pytest.raises(MeshError) as error:
        await call
    return error.value.reason


async def test_a_key_sees_its_own_tenants_only(served: VaultGround, edge: Stubs) -> None:
    own, other = await both(served, edge)
    key = scoped("operator", own)
    calls: list[Any] = [
        edge.tenants.GetTenant(tenant_service_pb2.GetTenantRequest(tenant_id=other), metadata=key),
        edge.tenants.GetTenant(tenant_service_pb2.GetTenantRequest(tenant_id=NOWHERE), metadata=key),
        edge.tenants.UpdateTenant(
            tenant_service_pb2.UpdateTenantRequest(tenant_id=other, display_name="Mine"), metadata=key
        ),
        edge.tenants.DisableTenant(tenant_service_pb2.DisableTenantRequest(tenant_id=other), metadata=key),
        edge.tenants.EnableTenant(tenant_service_pb2.EnableTenantRequest(tenant_id=other), metadata=key),
        edge.tenants.DisconnectTenant(tenant_service_pb2.DisconnectTenantRequest(tenant_id=other), metadata=key),
        edge.tenants.TestConnection(tenant_service_pb2.TestConnectionRequest(tenant_id=other), metadata=key),
        edge.tenants.StartAuthorization(tenant_service_pb2.StartAuthorizationRequest(tenant_id=other), metadata=key),
    ]

    listed = await edge.tenants.ListTenants(tenant_service_pb2.ListTenantsRequest(), metadata=key)
    reasons = [await reason_of(call) for call in calls]

    assert [own] == [tenant.tenant_id for tenant in listed.tenants]
    assert ["TENANT_NOT_FOUND"] * 8 == reasons


async def test_lists_page_in_order_and_filter(served: VaultGround, edge: Stubs) -> None:
    first, second = await both(served, edge)

    async def listed(**fields: Any) -> Any:
        return await edge.tenants.ListTenants(tenant_service_pb2.ListTenantsRequest(**fields), metadata=ADMIN)

    page = await listed(page_size=1)
    following = await listed(page_size=1, page_token=page.next_page_token)
    google = await listed(provider="googlews")
    disabled = await listed(statuses=[tenant_pb2.TENANT_STATUS_DISABLED])
    by_address = await listed(address=page.tenants[0].address.upper())

    assert [first, second] == [page.tenants[0].tenant_id, following.tenants[0].tenant_id]
    assert "" == following.next_page_token
    assert [second] == [tenant.tenant_id for tenant in google.tenants]
    assert [] == list(disabled.tenants)
    assert [first] == [tenant.tenant_id for tenant in by_address.tenants]
    assert "PAGE_TOKEN_INVALID" == await reason_of(listed(provider="ms365", page_token=page.next_page_token))


async def test_a_tenant_is_renamed(served: VaultGround, edge: Stubs) -> None:
    tenant_id, _ = await both(served, edge)

    async def renamed(name: str, **fields: Any) -> Any:
        request = tenant_service_pb2.UpdateTenantRequest(tenant_id=tenant_id, display_name=name, **fields)
        return await edge.tenants.UpdateTenant(request, metadata=ADMIN)

    assert "Sales" == (await renamed("Sales")).tenant.display_name
    assert "FIELD_INVALID" == await reason_of(renamed("x" * 201))
    for acting in ("\x1b]0;title\x07", "a\nb", "\u202efdp.exe", "\x9b2J", "in\u200bvisible"):
        assert "FIELD_INVALID" == await reason_of(renamed(acting))
    assert "FIELD_INVALID" == await reason_of(renamed("x", update_mask={"paths": ["address"]}))


async def test_who_follows_sees_every_tenant_and_then_every_change_in_order(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    first, second = await both(served, edge)
    start = await follow(ingest, page_size=1)
    rest = await follow(ingest, start.next_cursor)
    quiet = await follow(ingest, rest.next_cursor)

    for name in ("A", "B", "C"):
        request = tenant_service_pb2.UpdateTenantRequest(tenant_id=first, display_name=name)
        await edge.tenants.UpdateTenant(request, metadata=ADMIN)
    await edge.tenants.DisableTenant(tenant_service_pb2.DisableTenantRequest(tenant_id=second), metadata=ADMIN)
    one = await follow(ingest, quiet.next_cursor, page_size=1)
    more = await follow(ingest, one.next_cursor)

    assert {first, second} == {change.tenant.tenant_id for change in [*start.changes, *rest.changes]}
    assert [] == list(quiet.changes)
    assert one.has_more
    assert ["A", "B", "C"] == [change.tenant.display_name for change in [*one.changes, *more.changes]][:3]
    assert tenant_pb2.TENANT_STATUS_ACTIVE == more.changes[-1].previous_status
    assert tenant_pb2.TENANT_STATUS_DISABLED == more.changes[-1].tenant.status
    assert "CURSOR_INVALID" == await reason_of(follow(ingest, "nonsense"))


async def test_who_waits_is_told_of_a_change_at_once(served: VaultGround, edge: Stubs, ingest: Stubs) -> None:
    tenant_id, _ = await both(served, edge)
    cursor = (await follow(ingest)).next_cursor
    waiting = asyncio.create_task(follow(ingest, cursor, wait_seconds=20))

    await asyncio.wait([waiting], timeout=0.3)
    is_waiting = not waiting.done()
    await edge.tenants.DisableTenant(tenant_service_pb2.DisableTenantRequest(tenant_id=tenant_id), metadata=ADMIN)
    async with asyncio.timeout(15):
        answer = await waiting

    assert is_waiting
    assert [tenant_id] == [change.tenant.tenant_id for change in answer.changes]


async def test_changes_that_commit_late_are_not_missed(served: VaultGround, edge: Stubs, ingest: Stubs) -> None:
    """Many changes at the same time, read all the while: every one is seen once, in one order."""
    first, second = await both(served, edge)
    cursor, seen = (await follow(ingest)).next_cursor, []

    async def rename(tenant_id: str, name: str) -> None:
        request = tenant_service_pb2.UpdateTenantRequest(tenant_id=tenant_id, display_name=name)
        await edge.tenants.UpdateTenant(request, metadata=ADMIN)

    renaming = asyncio.gather(*(rename(tenant, f"{at}") for at in range(30) for tenant in (first, second)))
    while not renaming.done() or len(seen) < 60:
        answer = await follow(ingest, cursor, wait_seconds=1)
        seen += [change.change_id for change in answer.changes]
        cursor = answer.next_cursor
    await renaming

    assert 60 == len(seen) == len(set(seen))


async def test_the_connection_test_tells_what_is_wrong(served: VaultGround, edge: Stubs) -> None:
    microsoft, google = await both(served, edge)
    account = (await served.control.accounts("ms365"))[0]["address"]

    async def tested(tenant_id: str) -> Any:
        request = tenant_service_pb2.TestConnectionRequest(tenant_id=tenant_id)
        return await edge.tenants.TestConnection(request, metadata=ADMIN)

    healthy = [await tested(tenant_id) for tenant_id in (microsoft, google)]
    await served.control.update_account(account, address="renamed@contoso.test")
    renamed, after = await tested(microsoft), await tested(microsoft)
    await served.control.update_account("renamed@contoso.test", address=account)
    await tested(microsoft)
    await served.control.update_account(account, hasMailbox=False)
    try:
        no_mailbox = await tested(microsoft)
    finally:
        await served.control.update_account(account, hasMailbox=True)
    await served.fetch("UPDATE vault.tenant_tokens SET scopes = '{User.Read}' WHERE tenant_id = $1", microsoft)
    lacking = await tested(microsoft)

    assert [True, True] == [found.is_healthy for found in healthy]
    assert (False, "MAILBOX_MISMATCH", "renamed@contoso.test") == (
        renamed.is_healthy,
        renamed.reason,
        renamed.provider_address,
    )
    assert (True, "renamed@contoso.test") == (after.is_healthy, after.provider_address)
    assert (False, "MAILBOX_UNAVAILABLE") == (no_mailbox.is_healthy, no_mailbox.reason)
    assert ("SCOPE_NOT_GRANTED", ["Mail.Read"]) == (lacking.reason, list(lacking.missing_scopes))


async def test_a_fault_that_others_report_is_told_and_mended(served: VaultGround, edge: Stubs, ingest: Stubs) -> None:
    tenant_id, _ = await both(served, edge)

    async def report(fault: Any, **fields: Any) -> Any:
        request = token_vault_service_pb2.ReportTenantFaultRequest(fault=fault, **fields)
        return await ingest.mesh.ReportTenantFault(request)

    pb = token_vault_service_pb2
    told = await report(pb.TENANT_FAULT_PERMISSION_MISSING, tenant_id=tenant_id, provider_code="ErrorAccessDenied")
    request = token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant_id)
    refusal = await reason_of(ingest.mesh.IssueToken(request))
    test = tenant_service_pb2.TestConnectionRequest(tenant_id=tenant_id)
    found = await edge.tenants.TestConnection(test, metadata=ADMIN)
    mended = await served.status(tenant_id)
    await report(pb.TENANT_FAULT_MAILBOX_UNAVAILABLE, tenant_id=tenant_id)
    cleared = await report(pb.TENANT_FAULT_CLEARED, tenant_id=tenant_id)

    assert tenant_pb2.TENANT_STATUS_ERROR == told.tenant.status
    assert "permission_missing" == told.tenant.status_reason
    assert "TENANT_IN_ERROR" == refusal
    assert found.is_healthy
    assert ("active", "") == mended
    assert tenant_pb2.TENANT_STATUS_ACTIVE == cleared.tenant.status
    assert "TENANT_NOT_FOUND" == await reason_of(report(pb.TENANT_FAULT_TOKEN_REJECTED, tenant_id=NOWHERE))
    assert "FIELD_INVALID" == await reason_of(report(pb.TENANT_FAULT_UNSPECIFIED, tenant_id=tenant_id))


async def test_an_unknown_address_makes_us_look_at_the_addresses(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    _, tenant_id = await both(served, edge)
    account = (await served.control.accounts("googlews"))[0]["address"]
    await served.control.update_account(account, address="married@workspace.test")
    request = token_vault_service_pb2.ReportTenantFaultRequest(
        fault=token_vault_service_pb2.TENANT_FAULT_ADDRESS_UNKNOWN
    )

    await ingest.mesh.ReportTenantFault(request)

    async def is_known() -> bool:
        rows = await served.fetch("SELECT address FROM vault.tenants WHERE tenant_id = $1", tenant_id)
        return bool(rows[0]["address"] == "married@workspace.test")

    try:
        assert await eventually(is_known)
    finally:
        await served.control.update_account("married@workspace.test", address=account)


async def test_disconnecting_waits_for_the_release_and_destroys_the_credentials(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    tenant_id, other = await both(served, edge)
    tenant_id, other = other, tenant_id  # Google's grant can be revoked
    processor = await served.stubs(served.processes[0], "processor")
    issue = token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant_id)

    disconnect = tenant_service_pb2.DisconnectTenantRequest(tenant_id=tenant_id)
    begun = await edge.tenants.DisconnectTenant(disconnect, metadata=ADMIN)
    lent = await ingest.mesh.IssueToken(issue)
    refusal = await reason_of(processor.mesh.IssueToken(issue))
    start = tenant_service_pb2.StartAuthorizationRequest(tenant_id=tenant_id)
    meanwhile = await reason_of(edge.tenants.StartAuthorization(start, metadata=ADMIN))
    confirm = token_vault_service_pb2.ConfirmTenantReleaseRequest(tenant_id=tenant_id)
    await ingest.mesh.ConfirmTenantRelease(confirm)
    await ingest.mesh.ConfirmTenantRelease(confirm)

    async def is_gone() -> bool:
        return await served.status(tenant_id) == ("disconnected", "")

    await eventually(is_gone)

    assert tenant_pb2.TENANT_STATUS_DISCONNECTING == begun.tenant.status
    assert lent.access_token
    assert "TENANT_DISCONNECTED" == refusal == meanwhile
    assert "TENANT_DISCONNECTED" == await reason_of(ingest.mesh.IssueToken(issue))
    assert 1 == await served.control.call_count("google.revoke")
    keys = await served.fetch("SELECT tenant_id::text FROM vault.tenant_keys")
    tokens = await served.fetch("SELECT tenant_id::text FROM vault.tenant_tokens")
    assert [other] == [row["tenant_id"] for row in keys] == [row["tenant_id"] for row in tokens]


async def test_a_disconnected_account_can_be_connected_again_as_the_same_tenant(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    tenant_id, _ = await both(served, edge)
    account = (await served.control.accounts("ms365"))[0]["address"]
    old = await served.fetch("SELECT data_key_id FROM vault.tenant_keys WHERE tenant_id = $1", tenant_id)
    disconnect = tenant_service_pb2.DisconnectTenantRequest(tenant_id=tenant_id)
    await edge.tenants.DisconnectTenant(disconnect, metadata=ADMIN)
    confirm = token_vault_service_pb2.ConfirmTenantReleaseRequest(tenant_id=tenant_id)
    await ingest.mesh.ConfirmTenantRelease(confirm)

    async def is_gone() -> bool:
        return await served.status(tenant_id) == ("disconnected", "")

    await eventually(is_gone)
    again = await served.connect(edge, "", account, tenant_id=tenant_id)
    new = await served.fetch("SELECT data_key_id FROM vault.tenant_keys WHERE tenant_id = $1", tenant_id)

    assert tenant_id == again
    assert old != new
    assert (await ingest.mesh.IssueToken(token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant_id))).access_token


async def test_the_status_counts_tenants_and_failures(served: VaultGround, edge: Stubs, ingest: Stubs) -> None:
    tenant_id, _ = await both(served, edge)
    await edge.tenants.DisableTenant(tenant_service_pb2.DisableTenantRequest(tenant_id=tenant_id), metadata=ADMIN)
    processor = await served.stubs(served.processes[0], "processor")

    status = await processor.mesh.GetVaultStatus(token_vault_service_pb2.GetVaultStatusRequest())

    assert {"active": 1, "disabled": 1} == dict(status.tenants_by_status)
    assert (0, 0) == (status.refresh_failures_last_hour, status.oldest_due_refresh_seconds)
