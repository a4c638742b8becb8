"""Organisations that admit the app: their consent, the allow-list, and mailboxes with the app's tokens."""

from typing import Any

import asyncpg
import pytest

from mailmesh.vault.v1 import directory_service_pb2 as pb
from mailmesh.vault.v1 import tenant_pb2, tenant_service_pb2, token_vault_service_pb2
from services.meshkit.errors import MeshError
from tests.programs.vault import VaultGround
from tests.programs.vault_clients import ADMIN, Shown, Stubs, Walk

pytestmark = pytest.mark.timeout(300)
UNKNOWN = "019a9f0e-7c1e-4000-8000-00000000000d"
EVERYTHING = (*ADMIN, ("x-mailmesh-abilities", "*"))
LIMITED = (*ADMIN[:2], ("x-mailmesh-tenants", UNKNOWN))


async def organisation(served: VaultGround, domain: str, names: tuple[str, ...] = ("boss", "desk")) -> list[Any]:
    """Adds the accounts of an organisation of this test, and returns them."""
    for name in names:
        await served.control.create_account("ms365", f"{name}@{domain}")
    return [one for one in await served.control.accounts("ms365") if one["address"].endswith(f"@{domain}")]


async def consented(
    served: VaultGround, edge: Stubs, people: list[Any], *, action: str = "accept", back: Any = None, **allow: Any
) -> tuple[Shown, Any]:
    """Walks through an administrator's consent, and returns the last page and the attempt."""
    request = pb.StartConsentRequest(directory_id=people[0]["directory"], **allow)
    started = await edge.directories.StartConsent(request, metadata=ADMIN)
    walk = Walk(edge, served.simulator)
    url = await walk.consent(await walk.open(started.authorization_url), people[0]["address"], action=action)
    assert "admin_consent=True" in url
    shown = await walk.result(await walk.complete(url, **(back or {})))
    attempt = await edge.tenants.GetAuthorization(
        tenant_service_pb2.GetAuthorizationRequest(flow_id=started.flow_id), metadata=ADMIN
    )
    return shown, attempt


async def connected(edge: Stubs, one: Any, **fields: Any) -> tenant_pb2.Tenant:
    """Makes a mailbox a tenant."""
    request = pb.ConnectMailboxRequest(directory_id=one["directory"], mailbox_id=one["id"], **fields)
    return (await edge.directories.ConnectMailbox(request, metadata=EVERYTHING)).tenant


async def refusal(call: Any) -> str:
    """Returns the reason of a call that fails."""
    with pytest.raises(MeshError) as caught:
        await call
    return caught.value.reason


async def test_a_mailbox_of_an_organisation_that_consented_is_a_tenant_with_the_apps_token(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    people = await organisation(served, "north.test")
    shown, attempt = await consented(served, edge, people, allowed_addresses=["Desk@north.test"])
    listed = await edge.directories.ListDirectories(pb.ListDirectoriesRequest(), metadata=ADMIN)
    request = pb.ListMailboxesRequest(directory_id=people[0]["directory"], page_size=1)
    first = await edge.directories.ListMailboxes(request, metadata=ADMIN)
    request.page_token = first.next_page_token
    second = await edge.directories.ListMailboxes(request, metadata=ADMIN)
    tenant = await connected(edge, people[1], abilities=["mail.read", "mail.send"])
    lent = await ingest.mesh.IssueToken(token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant.tenant_id))

    assert ("Your organisation is connected", "CONNECTED") == (shown.title, _state(attempt))
    assert [["desk@north.test"]] == [list(one.allowed_addresses) for one in listed.directories]
    assert ["desk@north.test"] == [one.address for one in (*first.mailboxes, *second.mailboxes)]
    assert ("app", "desk@north.test", people[1]["id"]) == (tenant.token_type, tenant.address, tenant.user_id)
    assert ["mail.read", "mail.send"] == list(tenant.granted_abilities)
    assert lent.tenant == tenant
    assert [("key:019a9f0e-7c1e-7000-8000-0000000000aa", tenant.tenant_id, "ok")] == await served.audit(
        "tenant.connect"
    )


async def test_an_expired_token_of_the_app_is_replaced_and_the_mailbox_is_tried(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    people = await organisation(served, "east.test")
    await consented(served, edge, people, allows_all=True)
    tenant = await connected(edge, people[1])
    ask = token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant.tenant_id)
    before = await ingest.mesh.IssueToken(ask)
    await served.expire(tenant.tenant_id)
    after = await ingest.mesh.IssueToken(ask)
    test = tenant_service_pb2.TestConnectionRequest(tenant_id=tenant.tenant_id)
    healthy = await edge.tenants.TestConnection(test, metadata=ADMIN)
    fault = {"status": 403, "code": "ErrorAccessDenied", "account": "desk@east.test"}
    await served.control.add_fault("status", endpoint="graph.folders.*", **fault)
    narrowed = await edge.tenants.TestConnection(test, metadata=ADMIN)
    refused = await refusal(connected(edge, people[1]))
    await served.control.clear_faults()

    assert before.access_token != after.access_token
    assert (True, "desk@east.test", []) == (healthy.is_healthy, healthy.provider_address, list(healthy.missing_scopes))
    assert (False, "SCOPE_NOT_GRANTED", "SCOPE_NOT_GRANTED") == (narrowed.is_healthy, narrowed.reason, refused)


async def test_a_withdrawn_consent_stops_the_tenant_until_it_is_connected_again(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    people = await organisation(served, "gone.test")
    await consented(served, edge, people, allows_all=True)
    tenant = await connected(edge, people[1])
    ask = token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant.tenant_id)
    await served.control.add_fault("status", endpoint="ms.token", status=400, code="unauthorized_client:700016")
    await served.expire(tenant.tenant_id)
    stopped = await refusal(ingest.mesh.IssueToken(ask)), await served.status(tenant.tenant_id)
    refused = await refusal(connected(edge, people[1]))
    await served.control.clear_faults()
    again = await connected(edge, people[1])

    assert ("TENANT_IN_ERROR", ("error", "admin_consent_needed")) == stopped
    assert "ADMIN_CONSENT_NEEDED" == refused
    assert (tenant.tenant_id, tenant_pb2.TENANT_STATUS_ACTIVE) == (again.tenant_id, again.status)
    assert (await ingest.mesh.IssueToken(ask)).access_token


async def test_a_link_that_is_older_than_the_allow_list_does_not_widen_it(served: VaultGround, edge: Stubs) -> None:
    people = await organisation(served, "late.test")
    await consented(served, edge, people, allowed_addresses=["boss@late.test"])
    request = pb.StartConsentRequest(directory_id=people[0]["directory"], allows_all=True)
    late = await edge.directories.StartConsent(request, metadata=ADMIN)
    narrow = pb.SetAllowedMailboxesRequest(directory_id=people[0]["directory"], allowed_addresses=["desk@late.test"])
    await edge.directories.SetAllowedMailboxes(narrow, metadata=ADMIN)
    walk = Walk(edge, served.simulator)
    await walk.result(
        await walk.complete(
            await walk.consent(await walk.open(late.authorization_url), "boss@late.test", action="accept")
        )
    )
    listed = await edge.directories.ListDirectories(pb.ListDirectoriesRequest(), metadata=ADMIN)

    assert [(["desk@late.test"], False)] == [
        (list(one.allowed_addresses), one.allows_all) for one in listed.directories
    ]


async def test_a_refusal_that_says_admin_consent_connects_nothing(served: VaultGround, edge: Stubs) -> None:
    people = await organisation(served, "south.test")
    shown, attempt = await consented(served, edge, people, action="deny", allows_all=True)

    assert ("You did not agree", "FAILED", "CONSENT_DENIED") == (shown.title, _state(attempt), attempt.reason)
    assert "DIRECTORY_NOT_FOUND" == await refusal(connected(edge, people[1]))


async def test_the_browser_cannot_choose_another_organisation(served: VaultGround, edge: Stubs) -> None:
    ours, theirs = await organisation(served, "ours.test"), await organisation(served, "theirs.test")
    await consented(served, edge, theirs, allowed_addresses=["boss@theirs.test"])
    _, attempt = await consented(served, edge, ours, back={"tenant": theirs[0]["directory"]}, allows_all=True)
    _, forged = await consented(served, edge, ours, action="deny", back={"error": ""}, allows_all=True)
    listed = await edge.directories.ListDirectories(pb.ListDirectoriesRequest(), metadata=ADMIN)

    assert ("FLOW_STATE_INVALID", "FLOW_STATE_INVALID") == (attempt.reason, forged.reason)
    assert [(theirs[0]["directory"], ["boss@theirs.test"], False)] == [
        (one.directory_id, list(one.allowed_addresses), one.allows_all) for one in listed.directories
    ]


async def test_an_organisations_access_reaches_no_mailbox_of_another_one(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    ours, theirs = await organisation(served, "alpha.test"), await organisation(served, "beta.test")
    await consented(served, edge, ours, allows_all=True)
    await consented(served, edge, theirs, allows_all=True)
    crossed = {"directory": ours[0]["directory"], "id": theirs[1]["id"]}
    tenant, other = await connected(edge, ours[1]), await connected(edge, theirs[1])
    lent = await ingest.mesh.IssueToken(token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant.tenant_id))
    tied = "UPDATE vault.tenants SET directory_id = $2 WHERE tenant_id = $1"

    assert "MAILBOX_UNAVAILABLE" == await refusal(connected(edge, crossed))
    with pytest.raises(asyncpg.CheckViolationError):
        await served.fetch(tied, tenant.tenant_id, theirs[0]["directory"])
    assert lent.tenant.external_tenant_id == ours[0]["directory"] != other.external_tenant_id
    request = pb.ListMailboxesRequest(directory_id=ours[0]["directory"])
    listed = await edge.directories.ListMailboxes(request, metadata=ADMIN)
    assert {"boss@alpha.test", "desk@alpha.test"} == {one.address for one in listed.mailboxes}


async def test_the_allow_list_a_limited_key_and_a_persons_grant_keep_mailboxes_out(
    served: VaultGround, edge: Stubs
) -> None:
    people = await organisation(served, "west.test", ("boss", "desk", "ada"))
    boss, desk, ada = people
    await consented(served, edge, people, allowed_addresses=["boss@west.test"])
    not_allowed = await refusal(connected(edge, desk))
    change = pb.SetAllowedMailboxesRequest(directory_id=boss["directory"], allows_all=True)
    await edge.directories.SetAllowedMailboxes(change, metadata=ADMIN)
    await connected(edge, desk)
    await served.connect(edge, "ms365", ada["address"])
    by_person = await refusal(connected(edge, ada))
    started = await served.start_authorization(edge, "ms365")
    by_app = await Walk(edge, served.simulator).whole(started.authorization_url, desk["address"])
    scoped = [
        await refusal(edge.directories.ListDirectories(pb.ListDirectoriesRequest(), metadata=LIMITED)),
        await refusal(edge.directories.SetAllowedMailboxes(change, metadata=LIMITED)),
        await refusal(
            edge.directories.ConnectMailbox(
                pb.ConnectMailboxRequest(directory_id=boss["directory"], mailbox_id=boss["id"]), metadata=LIMITED
            )
        ),
    ]

    assert ("MAILBOX_NOT_ALLOWED", "MAILBOX_CONNECTED_OTHERWISE") == (not_allowed, by_person)
    assert "This mailbox is connected already" == by_app.title
    assert ["SCOPE_TOO_WIDE"] * 3 == scoped
    assert ["calendar.read"] == list((await connected(edge, boss, abilities=["calendar.read"])).granted_abilities)
    assert "ABILITY_UNKNOWN" == await refusal(connected(edge, desk, abilities=["mail.burn"]))


def _state(attempt: Any) -> str:
    return tenant_service_pb2.AuthorizationState.Name(attempt.state).removeprefix("AUTHORIZATION_STATE_")
