"""Accounts that are in use while they are disconnected: the grant breaks meanwhile, or a person connects them again."""

from functools import partial
from typing import Any

import pytest

from mailmesh.vault.v1 import tenant_service_pb2, token_vault_service_pb2
from services.meshkit.errors import MeshError
from tests.programs.vault import VaultGround, eventually
from tests.programs.vault_clients import ADMIN, Stubs, Walk

pytestmark = pytest.mark.timeout(300)
ENDPOINTS = {"ms365": "ms.token", "googlews": "google.token"}


async def issue(ingest: Stubs, tenant_id: str) -> Any:
    return await ingest.mesh.IssueToken(token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant_id), timeout=20)


@pytest.mark.parametrize("provider", ENDPOINTS)
async def test_a_broken_grant_of_a_tenant_that_is_being_disconnected_is_refused_once(
    served: VaultGround, edge: Stubs, ingest: Stubs, provider: str
) -> None:
    account = (await served.control.accounts(provider))[0]["address"]
    tenant_id = await served.connect(edge, provider, account)
    disconnect = tenant_service_pb2.DisconnectTenantRequest(tenant_id=tenant_id)
    await edge.tenants.DisconnectTenant(disconnect, metadata=ADMIN)
    await served.control.revoke(account)
    await served.expire(tenant_id)

    reasons = []
    for _ in range(3):
        with pytest.raises(MeshError) as refused:
            await issue(ingest, tenant_id)
        reasons.append(refused.value.reason)

    assert ["TENANT_NEEDS_REAUTHORIZATION"] * 3 == reasons
    assert 1 == await served.control.call_count(ENDPOINTS[provider], status=400)
    assert ("disconnecting", "") == await served.status(tenant_id)


async def test_an_account_is_not_connected_again_before_its_grant_is_revoked(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    """Google revokes all grants of an account at once: an earlier one's revocation would end a new one."""
    account = (await served.control.accounts("googlews"))[0]["address"]
    old = await served.connect(edge, "googlews", account)
    await edge.tenants.EraseTenant(tenant_service_pb2.EraseTenantRequest(tenant_id=old), metadata=ADMIN)
    started = await served.start_authorization(edge, "googlews")
    early = await Walk(edge, served.simulator).whole(started.authorization_url, account)
    await ingest.mesh.ConfirmTenantRelease(token_vault_service_pb2.ConfirmTenantReleaseRequest(tenant_id=old))
    await eventually(partial(_is_disconnected, served, old))
    new = await served.connect(edge, "googlews", account)
    await served.expire(new)

    assert "This account is being disconnected" == early.title
    assert old != new
    assert (await issue(ingest, new)).access_token


async def _is_disconnected(served: VaultGround, tenant_id: str) -> bool:
    return await served.status(tenant_id) == ("disconnected", "")
