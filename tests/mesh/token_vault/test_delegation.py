"""Organisations of Google Workspace by domain-wide delegation: a service account's keys, users, refusals."""

import json
from typing import Any

import pytest

from mailmesh.vault.v1 import directory_service_pb2 as pb
from mailmesh.vault.v1 import tenant_pb2, tenant_service_pb2, token_vault_service_pb2
from services.meshkit.errors import MeshError
from tests.factories.app_credentials import service_account_key
from tests.mesh.token_vault.test_directories import EVERYTHING, LIMITED, UNKNOWN, refusal
from tests.programs.vault import VaultGround
from tests.programs.vault_clients import ADMIN, Stubs

pytestmark = pytest.mark.timeout(300)
AUTH = "https://www.googleapis.com/auth/"
USERS = f"{AUTH}admin.directory.user.readonly"
IDENTITY = ("openid", f"{AUTH}userinfo.email")
READ, COMPOSE, FREE_BUSY = f"{AUTH}gmail.readonly", f"{AUTH}gmail.compose", f"{AUTH}calendar.freebusy"
CALENDARS = (f"{AUTH}calendar.calendarlist.readonly", f"{AUTH}calendar.events.readonly", FREE_BUSY)


async def organisation(
    served: VaultGround, edge: Stubs, domain: str, *scopes: str, names: tuple[str, ...] = ("boss", "desk")
) -> tuple[list[Any], Any]:
    """Adds an organisation whose administrator grants scopes to the service account; returns its people and the key."""
    for name in names:
        await served.control.create_account("googlews", f"{name}@{domain}", isAdmin=name == "boss")
    people = [one for one in await served.control.accounts("googlews") if one["address"].endswith(f"@{domain}")]
    key = await served.control.new_service_account_key()
    await served.control.delegate(key["client_id"], domain, [USERS, *IDENTITY, *scopes])
    await added(edge, json.dumps(key))
    return people, key


async def added(edge: Stubs, text: str) -> pb.AppCredential:
    """Adds the key of a service account."""
    request = pb.AddAppCredentialRequest(service_account_key=text)
    return (await edge.directories.AddAppCredential(request, metadata=ADMIN)).credential


async def taken(edge: Stubs, domain: str, **allow: Any) -> pb.Directory:
    """Takes an organisation by its administrator."""
    request = pb.CreateDirectoryRequest(administrator=f"Boss@{domain}", **(allow or {"allows_all": True}))
    return (await edge.directories.CreateDirectory(request, metadata=ADMIN)).directory


async def connected(edge: Stubs, directory: pb.Directory, one: Any, **fields: Any) -> tenant_pb2.Tenant:
    """Makes a mailbox a tenant."""
    request = pb.ConnectMailboxRequest(directory_id=directory.directory_id, mailbox_id=one["id"], **fields)
    return (await edge.directories.ConnectMailbox(request, metadata=EVERYTHING)).tenant


async def failure(call: Any) -> MeshError:
    """Returns the error of a call that fails."""
    with pytest.raises(MeshError) as caught:
        await call
    return caught.value


async def test_a_mailbox_of_a_delegated_domain_is_a_tenant_with_the_apps_token(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    people, key = await organisation(served, edge, "delegated.test", READ)
    directory = await taken(edge, "delegated.test", allowed_addresses=["Desk@delegated.test"])
    request = pb.ListMailboxesRequest(directory_id=directory.directory_id, page_size=1)
    first = await edge.directories.ListMailboxes(request, metadata=ADMIN)
    request.page_token = first.next_page_token
    second = await edge.directories.ListMailboxes(request, metadata=ADMIN)
    tenant = await connected(edge, directory, people[1])
    ask = token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant.tenant_id, ability="mail.read")
    lent = await ingest.mesh.IssueToken(ask)
    await served.expire(tenant.tenant_id)
    later = await ingest.mesh.IssueToken(ask)
    test = tenant_service_pb2.TestConnectionRequest(tenant_id=tenant.tenant_id)
    healthy = await edge.tenants.TestConnection(test, metadata=ADMIN)

    assert ("googlews", "boss@delegated.test", [USERS]) == (
        directory.provider, directory.administrator, list(directory.roles)
    )  # fmt: skip
    assert [] == list(first.mailboxes)
    assert [("desk@delegated.test", people[1]["id"])] == [(one.address, one.mailbox_id) for one in second.mailboxes]
    assert ("app", "desk@delegated.test", people[1]["id"], directory.directory_id) == (
        tenant.token_type, tenant.address, tenant.user_id, tenant.external_tenant_id
    )  # fmt: skip
    assert ["mail.read"] == list(tenant.granted_abilities)
    assert "" not in {lent.access_token, later.access_token}
    assert lent.access_token != later.access_token
    assert (True, "desk@delegated.test") == (healthy.is_healthy, healthy.provider_address)
    assert key["private_key"].splitlines()[1] not in "".join(
        str(row) for row in await served.fetch("SELECT * FROM vault.app_credentials")
    )


async def test_each_ability_is_tried_and_the_scopes_that_lack_are_named(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    people, key = await organisation(served, edge, "partly.test", READ)
    directory = await taken(edge, "partly.test")
    partly = await connected(edge, directory, people[1], abilities=["mail.read", "mail.send", "calendar.read"])
    none = await failure(connected(edge, directory, people[0], abilities=["calendar.read"]))
    send = token_vault_service_pb2.IssueTokenRequest(tenant_id=partly.tenant_id, ability="mail.send")
    lacking = await failure(ingest.mesh.IssueToken(send))
    by_person = await failure(served.start_authorization(edge, "googlews", tenant_id=partly.tenant_id))
    test = tenant_service_pb2.TestConnectionRequest(tenant_id=partly.tenant_id)
    tested = await edge.tenants.TestConnection(test, metadata=ADMIN)
    await served.control.delegate(key["client_id"], "partly.test", [USERS, *IDENTITY, READ, COMPOSE, *CALENDARS])
    await served.expire(partly.tenant_id)
    await ingest.mesh.IssueToken(token_vault_service_pb2.IssueTokenRequest(tenant_id=partly.tenant_id))
    granted = await ingest.mesh.IssueToken(send)

    assert (["mail.read"], ["calendar.read", "mail.read", "mail.send"]) == (
        list(partly.granted_abilities), list(partly.requested_abilities)
    )  # fmt: skip
    assert ("DELEGATION_NOT_GRANTED", key["client_id"], directory.directory_id) == (
        none.reason, none.metadata["client_id"], none.metadata["directory_id"]
    )  # fmt: skip
    assert set(CALENDARS) <= set(none.metadata["scopes"].split(","))
    command = f"mailmesh directories connect {directory.directory_id} {people[1]['id']}"
    assert ("ABILITY_NOT_GRANTED", f"{command} --ability mail.send") == (lacking.reason, lacking.metadata["command"])
    assert ("MAILBOX_CONNECTED_OTHERWISE", command) == (by_person.reason, by_person.metadata["command"])
    assert {COMPOSE, *CALENDARS[:2]} <= set(tested.missing_scopes)
    assert ["calendar.read", "mail.read", "mail.send"] == list(granted.tenant.granted_abilities)


async def test_a_withdrawn_delegation_stops_the_tenant_until_it_is_granted_again(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    people, key = await organisation(served, edge, "withdrawn.test", READ)
    directory = await taken(edge, "withdrawn.test")
    tenant = await connected(edge, directory, people[1])
    await served.control.delegate(key["client_id"], "withdrawn.test", [])
    await served.expire(tenant.tenant_id)
    ask = token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant.tenant_id)
    stopped = await refusal(ingest.mesh.IssueToken(ask)), await served.status(tenant.tenant_id)
    listing = await refusal(
        edge.directories.ListMailboxes(pb.ListMailboxesRequest(directory_id=directory.directory_id), metadata=ADMIN)
    )
    taking = await failure(taken(edge, "withdrawn.test"))
    await served.control.delegate(key["client_id"], "withdrawn.test", [USERS, *IDENTITY, READ])
    again = await connected(edge, directory, people[1])

    assert ("TENANT_IN_ERROR", ("error", "admin_consent_needed")) == stopped
    assert ("DELEGATION_NOT_GRANTED", "DELEGATION_NOT_GRANTED") == (listing, taking.reason)
    assert USERS == taking.metadata["scopes"]
    assert (tenant.tenant_id, tenant_pb2.TENANT_STATUS_ACTIVE) == (again.tenant_id, again.status)


async def test_a_second_key_takes_over_and_the_first_one_serves_until_then(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    people, first = await organisation(served, edge, "rotated.test", READ)
    directory = await taken(edge, "rotated.test")
    tenant = await connected(edge, directory, people[1])
    ask = token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant.tenant_id)
    unknown = await added(edge, service_account_key(first["client_email"], client_id=first["client_id"]))
    await served.expire(tenant.tenant_id)
    by_first = await ingest.mesh.IssueToken(ask)
    await edge.directories.DeleteAppCredential(
        pb.DeleteAppCredentialRequest(credential_id=unknown.credential_id), metadata=ADMIN
    )
    second = await served.control.new_service_account_key()
    await added(edge, json.dumps(second))
    await served.control.forget_service_account_key(first["private_key_id"])
    await served.expire(tenant.tenant_id)
    by_second = await ingest.mesh.IssueToken(ask)
    await served.control.forget_service_account_key(second["private_key_id"])
    await served.expire(tenant.tenant_id)
    by_none = await refusal(ingest.mesh.IssueToken(ask))

    assert by_first.access_token != by_second.access_token
    assert ("INSTALLATION_MISCONFIGURED", ("active", "")) == (by_none, await served.status(tenant.tenant_id))


async def test_a_token_of_another_user_is_refused_and_stores_nothing(served: VaultGround, edge: Stubs) -> None:
    people, key = await organisation(served, edge, "mixed.test", READ)
    directory = await taken(edge, "mixed.test")
    mistaken = {"desk@mixed.test": "boss@mixed.test"}
    await served.control.delegate(key["client_id"], "mixed.test", [USERS, *IDENTITY, READ], mistaken=mistaken)
    refused = await failure(connected(edge, directory, people[1]))

    assert ("IDENTITY_UNPROVEN", "user") == (refused.reason, refused.metadata["detail"])
    assert [] == await served.fetch("SELECT 1 FROM vault.tenants WHERE address = 'desk@mixed.test'")


async def test_no_organisation_without_a_key_an_administrator_and_an_unlimited_caller(
    served: VaultGround, edge: Stubs
) -> None:
    without_key = await refusal(taken(edge, "keyless.test"))
    people, key = await organisation(served, edge, "guarded.test", READ)
    clerk = pb.CreateDirectoryRequest(administrator="desk@guarded.test", allows_all=True)
    no_admin = await refusal(edge.directories.CreateDirectory(clerk, metadata=ADMIN))
    nobody = pb.CreateDirectoryRequest(administrator="nobody@guarded.test")
    unknown = await refusal(edge.directories.CreateDirectory(nobody, metadata=ADMIN))
    limited = [
        await refusal(edge.directories.CreateDirectory(clerk, metadata=LIMITED)),
        await refusal(edge.directories.ListAppCredentials(pb.ListAppCredentialsRequest(), metadata=LIMITED)),
        await refusal(
            edge.directories.AddAppCredential(
                pb.AddAppCredentialRequest(service_account_key=json.dumps(key)), metadata=LIMITED
            )
        ),
        await refusal(
            edge.directories.DeleteAppCredential(pb.DeleteAppCredentialRequest(credential_id=UNKNOWN), metadata=LIMITED)
        ),
    ]
    other = await refusal(added(edge, service_account_key("other@example.iam.gserviceaccount.com")))
    directory = await taken(edge, "guarded.test", allowed_addresses=["boss@guarded.test"])
    not_allowed = await refusal(connected(edge, directory, people[1]))
    missing = await refusal(
        edge.directories.DeleteAppCredential(pb.DeleteAppCredentialRequest(credential_id=UNKNOWN), metadata=ADMIN)
    )

    assert ("APP_CREDENTIAL_MISSING", "SCOPE_NOT_GRANTED", "ADMIN_CONSENT_NEEDED") == (without_key, no_admin, unknown)
    assert ["SCOPE_TOO_WIDE"] * 4 == limited
    assert ("FIELD_INVALID", "MAILBOX_NOT_ALLOWED", "APP_CREDENTIAL_NOT_FOUND") == (other, not_allowed, missing)


async def test_a_person_and_the_app_do_not_share_a_mailbox_and_no_domain_reaches_another(
    served: VaultGround, edge: Stubs
) -> None:
    people, _ = await organisation(served, edge, "single.test", READ)
    await served.connect(edge, "googlews", "desk@single.test")
    directory = await taken(edge, "single.test")
    by_app = await refusal(connected(edge, directory, people[1]))
    others, _ = await organisation(served, edge, "strange.test", READ)
    crossed = await refusal(connected(edge, directory, others[1]))

    assert ("MAILBOX_CONNECTED_OTHERWISE", "MAILBOX_UNAVAILABLE") == (by_app, crossed)
