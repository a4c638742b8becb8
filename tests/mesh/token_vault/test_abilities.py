"""Rights by need: abilities asked for, granted, unticked, added later, and named for every token."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1 import tenant_service_pb2 as pb
from services.meshkit.errors import MeshError
from tests.mesh.token_vault.lending import issue, refused
from tests.programs.vault import VaultGround
from tests.programs.vault_clients import ADMIN, Stubs, Walk

pytestmark = pytest.mark.timeout(300)

PROVIDERS = ["ms365", "googlews"]
AUTH = "https://www.googleapis.com/auth/"
COMPOSE, READONLY = f"{AUTH}gmail.compose", f"{AUTH}gmail.readonly"
IDENTITY = {
    "ms365": {"openid", "profile", "email", "offline_access", "User.Read"},
    "googlews": {"openid", "email"},
}
OF_SENDING = {"ms365": {"Mail.ReadWrite", "Mail.Send"}, "googlews": {COMPOSE, READONLY}}
OF_READING = {"ms365": {"Mail.Read"}, "googlews": {READONLY}}
EVERYTHING = (*ADMIN, ("x-mailmesh-abilities", "*"))


async def new_account(served: VaultGround, provider: str) -> str:
    domain = {"ms365": "contoso.test", "googlews": "workspace.test"}[provider]
    rows = await served.fetch("SELECT gen_random_uuid()::text AS id")
    address = f"a{rows[0]['id'][:8]}@{domain}"
    await served.control.create_account(provider, address)
    return address


async def walked(
    served: VaultGround, edge: Stubs, provider: str, account: str, untick: Sequence[str] = (), **fields: Any
) -> tuple[Any, set[str]]:
    """Connects an account; returns what the key reads at the end, and the scopes that the provider was asked for."""
    request = pb.StartAuthorizationRequest(provider=provider, **fields)
    started = await edge.tenants.StartAuthorization(request, metadata=EVERYTHING)
    walk = Walk(edge, served.simulator)
    address = await walk.open(started.authorization_url)
    await walk.complete(await walk.consent(address, account, untick=list(untick)))
    told = await edge.tenants.GetAuthorization(pb.GetAuthorizationRequest(flow_id=started.flow_id), metadata=EVERYTHING)
    return told, set(parse_qs(urlsplit(address).query)["scope"][0].split())


async def tenant_of(edge: Stubs, tenant_id: str) -> Any:
    return (await edge.tenants.GetTenant(pb.GetTenantRequest(tenant_id=tenant_id), metadata=ADMIN)).tenant


async def examined(edge: Stubs, tenant_id: str) -> Any:
    return await edge.tenants.TestConnection(pb.TestConnectionRequest(tenant_id=tenant_id), metadata=ADMIN)


async def abilities_lent(served: VaultGround) -> list[tuple[str, str]]:
    rows = await served.fetch(
        "SELECT detail ->> 'ability' AS ability, outcome FROM vault.audit_entries"
        " WHERE action = 'token.issue' ORDER BY occurred_at, audit_entry_id"
    )
    return [(row["ability"], row["outcome"]) for row in rows]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_without_abilities_an_account_is_asked_to_read_mail_alone(
    served: VaultGround, edge: Stubs, ingest: Stubs, provider: str
) -> None:
    told, asked = await walked(served, edge, provider, await new_account(served, provider))
    tenant = await tenant_of(edge, told.tenant_id)
    no_send = await refused(ingest, tenant.tenant_id, ability="mail.send")

    assert asked == IDENTITY[provider] | OF_READING[provider]
    assert ["mail.read"] == list(tenant.requested_abilities) == list(tenant.granted_abilities)
    assert (await issue(ingest, tenant.tenant_id)).access_token
    assert (await issue(ingest, tenant.tenant_id, ability="mail.read")).access_token
    command = f"mailmesh connect {provider} --tenant {tenant.tenant_id} --ability mail.send"
    assert ("ABILITY_NOT_GRANTED", "FAILED_PRECONDITION") == (no_send.reason, no_send.code)
    assert {"ability": "mail.send", "tenant_id": tenant.tenant_id, "command": command} == no_send.metadata
    assert command in no_send.message
    assert [("mail.send", "ABILITY_NOT_GRANTED"), ("mail.read", "ok"), ("mail.read", "ok")] == await abilities_lent(
        served
    )


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_account_that_shall_send_is_asked_for_the_scopes_of_sending(
    served: VaultGround, edge: Stubs, ingest: Stubs, provider: str
) -> None:
    told, asked = await walked(served, edge, provider, await new_account(served, provider), abilities=["mail.send"])
    tenant = await tenant_of(edge, told.tenant_id)
    lent = await issue(ingest, tenant.tenant_id, ability="mail.send")
    await served.expire(tenant.tenant_id)
    fresh = await issue(ingest, tenant.tenant_id, ability="mail.send")

    assert asked == IDENTITY[provider] | OF_SENDING[provider]
    assert ["mail.send"] == list(tenant.requested_abilities) == list(tenant.granted_abilities)
    assert lent.access_token != fresh.access_token
    # Its scopes would suffice for reading, but reading was never asked for.
    assert "ABILITY_NOT_GRANTED" == (await refused(ingest, tenant.tenant_id)).reason
    assert (await examined(edge, tenant.tenant_id)).is_healthy


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_ability_that_is_added_later_keeps_the_tenant_and_what_it_had(
    served: VaultGround, edge: Stubs, ingest: Stubs, provider: str
) -> None:
    account = await new_account(served, provider)
    first, _ = await walked(served, edge, provider, account)
    no_send = await refused(ingest, first.tenant_id, ability="mail.send")
    second, asked = await walked(served, edge, "", account, tenant_id=first.tenant_id, abilities=["mail.send"])
    at_once = await issue(ingest, first.tenant_id, ability="mail.send")  # whatever the process remembers
    third, asked_again = await walked(served, edge, "", account, tenant_id=first.tenant_id)
    tenant = await tenant_of(edge, first.tenant_id)
    await served.expire(first.tenant_id)

    assert first.tenant_id == second.tenant_id == third.tenant_id
    assert ("ABILITY_NOT_GRANTED", True) == (no_send.reason, bool(at_once.access_token))
    assert asked == asked_again == IDENTITY[provider] | OF_SENDING[provider] | OF_READING[provider]
    assert ["mail.read", "mail.send"] == list(tenant.requested_abilities) == list(tenant.granted_abilities)
    for ability in ("mail.read", "mail.send"):
        assert (await issue(ingest, first.tenant_id, ability=ability)).access_token


async def test_a_user_who_unticks_is_connected_with_the_rest(served: VaultGround, edge: Stubs, ingest: Stubs) -> None:
    account = await new_account(served, "googlews")
    wanted = ["mail.read", "mail.send"]
    told, _ = await walked(served, edge, "googlews", account, untick=[COMPOSE], abilities=wanted)
    tenant, found = await tenant_of(edge, told.tenant_id), await examined(edge, told.tenant_id)
    no_send = (await refused(ingest, tenant.tenant_id, ability="mail.send")).reason
    lent = await issue(ingest, tenant.tenant_id)
    later, _ = await walked(served, edge, "", account, tenant_id=told.tenant_id)

    assert (pb.AUTHORIZATION_STATE_CONNECTED, ["mail.send"]) == (told.state, list(told.missing_abilities))
    assert wanted == list(tenant.requested_abilities)
    assert ["mail.read"] == list(tenant.granted_abilities)
    assert [pb.MissingAbility(ability="mail.send", missing_scopes=[COMPOSE])] == list(found.missing_abilities)
    assert (True, [COMPOSE]) == (found.is_healthy, list(found.missing_scopes))
    assert ("ABILITY_NOT_GRANTED", True) == (no_send, bool(lent.access_token))
    assert [] == list(later.missing_abilities)
    assert wanted == list((await tenant_of(edge, told.tenant_id)).granted_abilities)


async def test_a_refresh_that_grants_other_abilities_is_a_change_of_the_tenant(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    account = await new_account(served, "googlews")
    told, _ = await walked(served, edge, "googlews", account, abilities=["mail.read", "mail.send"])

    async def changes() -> list[list[str]]:
        rows = await served.fetch("SELECT tenant FROM vault.tenant_changes ORDER BY position")
        return [list(tenant_pb2.Tenant.FromString(row["tenant"]).granted_abilities) for row in rows]

    async def refresh() -> None:
        await served.expire(told.tenant_id)
        await issue(ingest, told.tenant_id)

    await refresh()
    unchanged = await changes()
    # As a token that was stored before its account granted the scopes of sending: the next one has them.
    await served.fetch("UPDATE vault.tenant_tokens SET scopes = array_remove(scopes, $1)", COMPOSE)
    await refresh()

    assert [["mail.read", "mail.send"]] == unchanged
    assert unchanged * 2 == await changes()


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_flow_that_names_no_tenant_takes_no_ability_from_a_connected_account(
    served: VaultGround, edge: Stubs, ingest: Stubs, provider: str
) -> None:
    account = await new_account(served, provider)
    first, _ = await walked(served, edge, provider, account, abilities=["mail.read", "mail.send"])
    plain, _ = await walked(served, edge, provider, account)
    after_plain = await tenant_of(edge, first.tenant_id)
    await served.expire(first.tenant_id)
    lent = await issue(ingest, first.tenant_id, ability="mail.send")
    calendar, _ = await walked(served, edge, provider, account, abilities=["calendar.read"])
    named, _ = await walked(served, edge, "", account, tenant_id=first.tenant_id, abilities=["calendar.read"])

    # Google's new grant has the scopes of the earlier ones; Microsoft's has those that were asked for.
    command = f"mailmesh connect {provider} --tenant {first.tenant_id} --ability "
    refused_twice = [("ABILITIES_WOULD_BE_LOST", f"{command}{one}") for one in ("mail.read", "calendar.read")]
    told = [(one.reason, one.metadata["command"]) for one in (plain, calendar) if one.reason]
    assert told == (refused_twice if provider == "ms365" else [])
    assert ["mail.read", "mail.send"] == list(after_plain.granted_abilities)
    assert lent.access_token
    assert (pb.AUTHORIZATION_STATE_CONNECTED, []) == (named.state, list(named.missing_abilities))
    everything = ["calendar.read", "mail.read", "mail.send"]
    assert everything == list((await tenant_of(edge, first.tenant_id)).granted_abilities)


async def test_a_key_asks_again_for_no_declined_ability_that_it_lacks(served: VaultGround, edge: Stubs) -> None:
    account, wanted = await new_account(served, "googlews"), ["mail.read", "mail.send"]
    told, _ = await walked(served, edge, "googlews", account, untick=[COMPOSE], abilities=wanted)

    async def asked(**fields: Any) -> list[str]:
        request = pb.StartAuthorizationRequest(tenant_id=told.tenant_id, **fields)
        started = await edge.tenants.StartAuthorization(
            request, metadata=(*ADMIN, ("x-mailmesh-abilities", "mail.read"))
        )
        query = "SELECT abilities FROM vault.authorization_flows WHERE flow_id = $1"
        return list((await served.fetch(query, started.flow_id))[0]["abilities"])

    with pytest.raises(MeshError) as error:
        await asked(abilities=["mail.send"])

    assert ("SCOPE_TOO_WIDE", "abilities") == (error.value.reason, error.value.metadata["field"])
    assert ["mail.read"] == await asked()
    assert wanted == list((await tenant_of(edge, told.tenant_id)).requested_abilities)


async def test_a_user_who_unticks_everything_is_not_connected(served: VaultGround, edge: Stubs) -> None:
    account = await new_account(served, "googlews")
    untick = [COMPOSE, READONLY]
    told, _ = await walked(served, edge, "googlews", account, untick=untick, abilities=["mail.read", "mail.send"])

    assert (pb.AUTHORIZATION_STATE_FAILED, "SCOPE_NOT_GRANTED") == (told.state, told.reason)
    assert f"{COMPOSE} {READONLY}" == told.metadata["scopes"]


async def test_a_disconnected_account_starts_again_with_what_is_asked_for(served: VaultGround, edge: Stubs) -> None:
    account = await new_account(served, "ms365")
    first, _ = await walked(served, edge, "ms365", account, abilities=["mail.send"])
    await served.fetch("UPDATE vault.tenants SET status = 'disconnected' WHERE tenant_id = $1", first.tenant_id)
    again, asked = await walked(served, edge, "", account, tenant_id=first.tenant_id)

    assert first.tenant_id == again.tenant_id
    assert asked == IDENTITY["ms365"] | OF_READING["ms365"]
    assert ["mail.read"] == list((await tenant_of(edge, first.tenant_id)).requested_abilities)


async def test_an_ability_that_does_not_exist_is_refused_by_name(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    told, _ = await walked(served, edge, "ms365", await new_account(served, "ms365"))
    request = pb.StartAuthorizationRequest(provider="ms365", abilities=["mail.read", "mail.delete"])
    with pytest.raises(MeshError) as start:
        await edge.tenants.StartAuthorization(request, metadata=EVERYTHING)
    token = await refused(ingest, told.tenant_id, ability="mail.delete")

    assert ["ABILITY_UNKNOWN"] * 2 == [start.value.reason, token.reason]
    assert ["mail.delete"] * 2 == [start.value.metadata["ability"], token.metadata["ability"]]
    assert "mail.send" in token.metadata["known"]


async def test_a_key_requests_no_ability_that_neither_it_nor_the_tenant_has(served: VaultGround, edge: Stubs) -> None:
    account = await new_account(served, "ms365")
    told, _ = await walked(served, edge, "ms365", account, abilities=["mail.send"])

    async def started(has: str = "mail.read", **fields: Any) -> str:
        request = pb.StartAuthorizationRequest(provider="ms365", **fields)
        metadata = (*ADMIN, ("x-mailmesh-abilities", has))
        try:
            return str((await edge.tenants.StartAuthorization(request, metadata=metadata)).flow_id and "started")
        except MeshError as error:
            return f"{error.reason} {error.metadata['field']}"

    assert "SCOPE_TOO_WIDE abilities" == await started(abilities=["mail.send"])
    assert "started" == await started()
    assert "started" == await started(tenant_id=told.tenant_id)
    assert "started" == await started(tenant_id=told.tenant_id, abilities=["mail.send"])
    assert "SCOPE_TOO_WIDE abilities" == await started(tenant_id=told.tenant_id, abilities=["calendar.read"])
    assert "SCOPE_TOO_WIDE abilities" == await started(has="mail.send")  # the default is to read
    await served.fetch("UPDATE vault.tenants SET status = 'disconnected' WHERE tenant_id = $1", told.tenant_id)
    assert "SCOPE_TOO_WIDE abilities" == await started(tenant_id=told.tenant_id, abilities=["mail.send"])


async def test_subscriptions_are_deleted_with_a_token_whatever_was_granted(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    told, _ = await walked(served, edge, "ms365", await new_account(served, "ms365"), abilities=["mail.send"])
    before = await refused(ingest, told.tenant_id)
    # As a disconnect leaves it until Ingest confirms; the loop that ends it waits two minutes for that.
    await served.fetch(
        "UPDATE vault.tenants SET status = 'disconnecting', status_changed_at = now() WHERE tenant_id = $1",
        told.tenant_id,
    )

    assert "ABILITY_NOT_GRANTED" == before.reason
    assert (await issue(ingest, told.tenant_id)).access_token


async def test_a_key_is_recorded_with_its_abilities(served: VaultGround, edge: Stubs) -> None:
    code, _, errors = await served.run("create-admin-key", "--name", "first")
    rows = await served.fetch("SELECT api_key_id::text, abilities FROM vault.api_keys")
    (recorded,) = await served.fetch("SELECT detail FROM vault.audit_entries WHERE action = 'api_key.create'")

    assert (0, [["*"]]) == (code, [row["abilities"] for row in rows]), errors
    assert '"abilities": "*"' in recorded["detail"]
