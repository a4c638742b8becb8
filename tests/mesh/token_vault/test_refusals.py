"""A provider that refuses a grant: for good, for now, or because of the installation's own mistake."""

from typing import Any

import pytest

from mailmesh.vault.v1 import tenant_pb2, tenant_service_pb2
from services.meshkit.errors import MeshError
from tests.mesh.token_vault.lending import ENDPOINTS, connected, issue, refused
from tests.programs.vault import VaultGround, eventually
from tests.programs.vault_clients import ADMIN, Stubs

pytestmark = pytest.mark.timeout(300)


async def probed(edge: Stubs, tenant_id: str) -> Any:
    request = tenant_service_pb2.TestConnectionRequest(tenant_id=tenant_id)
    return await edge.tenants.TestConnection(request, metadata=ADMIN)


@pytest.mark.parametrize(
    ("provider", "code", "cause"),
    [
        ("ms365", "invalid_grant:53003", "conditional_access"),
        ("ms365", "invalid_grant:50053", "account_locked"),
        ("ms365", "invalid_grant:90013", "refused"),
        ("ms365", "invalid_grant:50999999", "refused"),
        ("googlews", "admin_policy_enforced", "admin_consent_needed"),
    ],
)
async def test_a_refusal_that_passes_is_retried_and_asks_for_no_person(
    served: VaultGround, edge: Stubs, ingest: Stubs, provider: str, code: str, cause: str
) -> None:
    tenant_id = await connected(served, edge, provider)
    await served.expire(tenant_id)
    await served.control.add_fault("status", endpoint=ENDPOINTS[provider], status=400, code=code, count=1)

    error = await refused(ingest, tenant_id)
    refused_status = await served.status(tenant_id)
    (row,) = await served.fetch("SELECT status_detail FROM vault.tenants WHERE tenant_id = $1", tenant_id)

    # The time of the next attempt has come.
    probes = await served.fetch("UPDATE vault.tenants SET probe_at = now() WHERE probe_at IS NOT NULL RETURNING 1")

    async def is_active() -> bool:
        return await served.status(tenant_id) == ("active", "")

    await eventually(is_active)

    assert 1 == len(probes)
    assert ("TENANT_IN_ERROR", cause) == (error.reason, error.metadata["detail"])
    assert ("error", cause) == refused_status
    assert "onnect the account again" not in row["status_detail"]
    assert (await issue(ingest, tenant_id)).access_token


async def test_a_refused_tenant_is_active_again_though_the_provider_failed_in_between(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    tenant_id = await connected(served, edge, "ms365")
    await served.expire(tenant_id)
    await served.control.add_fault("status", endpoint="ms.token", status=400, code="invalid_grant:53003")
    await refused(ingest, tenant_id)
    await served.control.clear_faults()
    await served.control.add_fault("status", endpoint="ms.token", status=503)
    with pytest.raises(MeshError) as unanswered:
        await probed(edge, tenant_id)
    stopped = await served.status(tenant_id)
    await served.control.clear_faults()
    # No probe is due, so that only the refresh of a token that is long unused can find the grant honoured.
    await served.fetch("UPDATE vault.tenants SET probe_at = NULL")
    await served.fetch(
        "UPDATE vault.tenant_tokens"
        " SET refresh_not_before = NULL, next_refresh_at = now(), last_refreshed_at = now() - interval '1 year'"
    )
    process = await served.start(MAILMESH_VAULT_REFRESH_INTERVAL_SECONDS="0.2")

    async def is_active() -> bool:
        return await served.status(tenant_id) == ("active", "")

    await eventually(is_active)
    process.kill()

    assert "PROVIDER_UNAVAILABLE" == unanswered.value.reason
    assert ("error", "conditional_access") == stopped
    assert (await issue(ingest, tenant_id)).access_token


async def test_the_connection_test_and_enabling_retry_a_refused_token_at_once(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    tenant_id = await connected(served, edge, "ms365")
    enable = tenant_service_pb2.EnableTenantRequest(tenant_id=tenant_id)
    fault = {"endpoint": "ms.token", "status": 400, "code": "invalid_grant:53003"}
    await served.expire(tenant_id)
    await served.control.add_fault("status", **fault)

    first = await refused(ingest, tenant_id)
    still = await probed(edge, tenant_id)
    with pytest.raises(MeshError) as still_refused:
        await edge.tenants.EnableTenant(enable, metadata=ADMIN)
    await served.control.clear_faults()
    healed = await probed(edge, tenant_id)
    await served.expire(tenant_id)
    await served.control.add_fault("status", **fault, count=1)
    await refused(ingest, tenant_id)
    enabled = await edge.tenants.EnableTenant(enable, metadata=ADMIN)

    assert ["TENANT_IN_ERROR"] * 3 == [first.reason, still.reason, still_refused.value.reason]
    assert "conditional_access" == still_refused.value.metadata["detail"]
    assert "policy" in still.detail
    assert healed.is_healthy
    assert tenant_pb2.TENANT_STATUS_ACTIVE == enabled.tenant.status
    assert (await issue(ingest, tenant_id)).access_token


@pytest.mark.parametrize("how", ["test", "enable"])
async def test_a_tenant_that_was_marked_wrongly_heals_when_its_token_works(
    served: VaultGround, edge: Stubs, ingest: Stubs, how: str
) -> None:
    """The rows are those that an earlier release left behind after one refusal that had passed a moment later."""
    tenant_id = await connected(served, edge, "ms365")
    await served.expire(tenant_id)
    await served.fetch(
        "UPDATE vault.tenants SET status = 'needs_reauthorization', status_reason = 'conditional_access',"
        " grant_fault = 'conditional_access' WHERE tenant_id = $1",
        tenant_id,
    )
    await served.fetch("UPDATE vault.tenant_tokens SET last_refresh_error = 'conditional_access'")

    if how == "test":
        assert (await probed(edge, tenant_id)).is_healthy
    else:
        await edge.tenants.EnableTenant(tenant_service_pb2.EnableTenantRequest(tenant_id=tenant_id), metadata=ADMIN)
    rows = await served.fetch("SELECT grant_fault, status_detail, probe_at FROM vault.tenants")

    assert ("active", "") == await served.status(tenant_id)
    assert [("", "", None)] == [tuple(row) for row in rows]
    assert (await issue(ingest, tenant_id)).access_token


async def test_a_grant_that_is_gone_stays_gone_when_it_is_tried_again(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    tenant_id = await connected(served, edge, "ms365")
    await served.control.revoke((await served.control.accounts("ms365"))[0]["address"])
    await served.expire(tenant_id)
    await refused(ingest, tenant_id)

    found = await probed(edge, tenant_id)
    with pytest.raises(MeshError) as enabling:
        enable = tenant_service_pb2.EnableTenantRequest(tenant_id=tenant_id)
        await edge.tenants.EnableTenant(enable, metadata=ADMIN)

    assert "TENANT_NEEDS_REAUTHORIZATION" == found.reason == enabling.value.reason
    assert ("needs_reauthorization", "grant_revoked") == await served.status(tenant_id)


async def test_a_refusal_ahead_of_expiry_stops_nothing_while_the_token_lasts(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    tenant_id = await connected(served, edge, "ms365")
    await served.fetch("UPDATE vault.tenant_tokens SET next_refresh_at = now()")
    await served.control.add_fault("status", endpoint="ms.token", status=400, code="invalid_grant:53003")
    process = await served.start(MAILMESH_VAULT_REFRESH_INTERVAL_SECONDS="0.2")

    async def is_refused() -> bool:
        rows = await served.fetch("SELECT last_refresh_error FROM vault.tenant_tokens")
        return bool(rows[0]["last_refresh_error"] == "conditional_access")

    await eventually(is_refused)
    process.kill()

    assert ("active", "") == await served.status(tenant_id)
    assert (await issue(ingest, tenant_id)).access_token
