"""Shared mailboxes at Microsoft by the grant of a person: tried, connected, refreshed, ended."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mailmesh.vault.v1 import tenant_pb2, tenant_service_pb2, token_vault_service_pb2
from stack.certificates import MeshCertificates
from tests.mesh.token_vault.conftest import Shared
from tests.mesh.token_vault.test_directories import EVERYTHING, LIMITED, refusal
from tests.programs.simulator import RunningSimulator
from tests.programs.vault import VaultGround, eventually, vault_ground
from tests.programs.vault_clients import ADMIN, Stubs, Walk

pytestmark = pytest.mark.timeout(300)
BOX = "info@shared.test"


@pytest.fixture
async def served(
    shared: Shared, simulator: RunningSimulator, certificates: MeshCertificates, tmp_path: Path
) -> AsyncIterator[VaultGround]:
    """A ground whose process asks accounts for shared mailboxes, too."""
    async with vault_ground(shared.database, simulator, certificates, tmp_path, shared.keys) as opened:
        await opened.empty()
        await opened.start(MAILMESH_MS365_SHARED_MAILBOXES="true")
        yield opened


@pytest.fixture
async def people(served: VaultGround) -> AsyncIterator[dict[str, Any]]:
    """A person, a mailbox that the person may open, and one that is not opened to the person."""
    addresses = ("ada@shared.test", BOX, "closed@shared.test")
    for address in addresses:
        delegates = ["ada@shared.test"] if address == BOX else []
        await served.control.create_account("ms365", address, delegates=delegates)
    yield {one["address"]: one for one in await served.control.accounts("ms365")}
    for address in addresses:
        await served.control.remove_account(address)


def request(owner: str, address: str = BOX, *abilities: str) -> tenant_service_pb2.ConnectSharedMailboxRequest:
    """Names a mailbox."""
    return tenant_service_pb2.ConnectSharedMailboxRequest(tenant_id=owner, address=address, abilities=abilities)


async def connected(edge: Stubs, owner: str, *abilities: str) -> tenant_pb2.Tenant:
    """Makes the mailbox a tenant."""
    return (await edge.tenants.ConnectSharedMailbox(request(owner, BOX, *abilities), metadata=EVERYTHING)).tenant


async def test_a_shared_mailbox_is_a_tenant_with_the_token_of_the_person_who_may_open_it(
    served: VaultGround, edge: Stubs, ingest: Stubs, people: dict[str, Any]
) -> None:
    ask_person = tenant_service_pb2.StartAuthorizationRequest(provider="ms365", abilities=["mail.read", "mail.send"])
    started = await edge.tenants.StartAuthorization(ask_person, metadata=EVERYTHING)
    await Walk(edge, served.simulator).whole(started.authorization_url, "ada@shared.test")
    attempt = tenant_service_pb2.GetAuthorizationRequest(flow_id=started.flow_id)
    owner = (await edge.tenants.GetAuthorization(attempt, metadata=ADMIN)).tenant_id
    tenant = await connected(edge, owner, "mail.read", "mail.send")
    ask = token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant.tenant_id, ability="mail.read")
    of_owner = token_vault_service_pb2.IssueTokenRequest(tenant_id=owner)
    first = await ingest.mesh.IssueToken(ask)
    before = await ingest.mesh.IssueToken(of_owner)
    await served.expire(tenant.tenant_id)
    await served.expire(owner)
    later = await ingest.mesh.IssueToken(ask)
    after = await ingest.mesh.IssueToken(of_owner)
    test = tenant_service_pb2.TestConnectionRequest(tenant_id=tenant.tenant_id)
    healthy = await edge.tenants.TestConnection(test, metadata=ADMIN)

    assert (owner, "delegated", BOX, people[BOX]["id"]) == (
        tenant.owner_tenant_id, tenant.token_type, tenant.address, tenant.user_id
    )  # fmt: skip
    assert ["mail.read", "mail.send"] == list(tenant.granted_abilities)
    assert (first.access_token, later.access_token) == (before.access_token, after.access_token)
    assert first.access_token != later.access_token
    assert (True, BOX) == (healthy.is_healthy, healthy.provider_address)
    assert "" == after.tenant.owner_tenant_id


async def test_a_shared_mailbox_ends_with_its_owner(
    served: VaultGround, edge: Stubs, ingest: Stubs, people: dict[str, Any]
) -> None:
    owner = await served.connect(edge, "ms365", "ada@shared.test")
    tenant = await connected(edge, owner)
    ask = token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant.tenant_id)
    disable = tenant_service_pb2.DisableTenantRequest(tenant_id=owner)
    await edge.tenants.DisableTenant(disable, metadata=ADMIN)
    await served.expire(tenant.tenant_id)
    without_owner = await refusal(ingest.mesh.IssueToken(ask)), await served.status(tenant.tenant_id)
    await edge.tenants.EnableTenant(tenant_service_pb2.EnableTenantRequest(tenant_id=owner), metadata=ADMIN)
    again = await connected(edge, owner)
    await edge.tenants.DisconnectTenant(tenant_service_pb2.DisconnectTenantRequest(tenant_id=owner), metadata=ADMIN)
    ending = await served.status(tenant.tenant_id)

    assert ("TENANT_IN_ERROR", ("error", "owner_unavailable")) == without_owner
    assert (tenant.tenant_id, tenant_pb2.TENANT_STATUS_ACTIVE) == (again.tenant_id, again.status)
    assert "disconnecting" == ending[0]

    async def is_gone() -> bool:
        return await served.status(tenant.tenant_id) == ("disconnected", "")

    await served.fetch("UPDATE vault.tenants SET released_at = now() WHERE status = 'disconnecting'")
    await eventually(is_gone)
    assert [] == await served.fetch("SELECT 1 FROM vault.tenant_tokens WHERE tenant_id = $1", tenant.tenant_id)


async def test_mailboxes_that_the_grant_does_not_open_are_refused_and_nothing_is_stored(
    served: VaultGround, edge: Stubs, people: dict[str, Any]
) -> None:
    owner = await served.connect(edge, "ms365", "ada@shared.test")
    call = edge.tenants.ConnectSharedMailbox
    refused = [
        await refusal(call(request(owner, "closed@shared.test"), metadata=EVERYTHING)),
        await refusal(call(request(owner, "nobody@shared.test"), metadata=EVERYTHING)),
        await refusal(call(request(owner, "ada@shared.test"), metadata=EVERYTHING)),
        await refusal(call(request(owner, BOX, "mail.send"), metadata=EVERYTHING)),
        await refusal(call(request(owner, BOX, "calendar.read"), metadata=EVERYTHING)),
        await refusal(call(request(owner), metadata=LIMITED)),
    ]
    other = await served.connect(edge, "googlews", "carla@fabrikam.test")
    by_google = await refusal(call(request(other), metadata=EVERYTHING))
    await served.connect(edge, "ms365", BOX)
    by_person = await refusal(call(request(owner), metadata=EVERYTHING))

    assert [
        "SCOPE_NOT_GRANTED", "MAILBOX_UNAVAILABLE", "FIELD_INVALID", "SCOPE_NOT_GRANTED", "FIELD_INVALID",
        "SCOPE_TOO_WIDE",
    ] == refused  # fmt: skip
    assert ("SHARED_MAILBOX_NOT_OFFERED", "MAILBOX_CONNECTED_OTHERWISE") == (by_google, by_person)
