"""Connecting accounts, as people with browsers do it, and as others try to."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mailmesh.vault.v1 import tenant_pb2, tenant_service_pb2, token_vault_service_pb2
from services.meshkit.errors import MeshError
from tests.programs.vault import VaultGround
from tests.programs.vault_clients import ADMIN, Stubs, Walk

pytestmark = pytest.mark.timeout(300)

PROVIDERS = ["ms365", "googlews"]
GMAIL = "https://www.googleapis.com/auth/gmail.readonly"


async def account_of(served: VaultGround, provider: str) -> str:
    return str((await served.control.accounts(provider))[0]["address"])


async def tenant_of(edge: Stubs, tenant_id: str) -> Any:
    request = tenant_service_pb2.GetTenantRequest(tenant_id=tenant_id)
    return (await edge.tenants.GetTenant(request, metadata=ADMIN)).tenant


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_connected_account_is_a_tenant_whose_token_is_lent(
    served: VaultGround, edge: Stubs, ingest: Stubs, provider: str
) -> None:
    account = await account_of(served, provider)

    tenant_id = await served.connect(edge, provider, account)
    tenant = await tenant_of(edge, tenant_id)
    lent = await ingest.mesh.IssueToken(token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant_id))

    assert (provider, account, tenant_pb2.TENANT_STATUS_ACTIVE) == (tenant.provider, tenant.address, tenant.status)
    assert lent.access_token
    assert lent.tenant == tenant
    assert [("ok")] == [outcome for _, _, outcome in await served.audit("tenant.connect")]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_browser_is_sent_on_with_state_and_pkce_and_bound_by_a_cookie(
    served: VaultGround, edge: Stubs, provider: str
) -> None:
    started = await served.start_authorization(edge, provider)
    walk = Walk(edge, served.simulator)

    url = urlsplit(await walk.open(started.authorization_url))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}

    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == 43
    assert len(query["state"]) >= 43
    assert query["redirect_uri"] == f"http://mailmesh.test/auth/oauth/{provider}/callback"
    assert len(walk.cookies) == 2  # of the page with the button, and of the flow


async def test_no_token_reaches_the_browser(served: VaultGround, edge: Stubs) -> None:
    account = await account_of(served, "googlews")
    started = await served.start_authorization(edge, "googlews")
    walk = Walk(edge, served.simulator)
    back = await walk.consent(await walk.open(started.authorization_url), account)
    result_url = await walk.complete(back)
    result = await walk.result(result_url)

    assert f"http://mailmesh.test/auth/oauth/result?flow_id={started.flow_id}" == result_url
    assert {} == walk.cookies
    assert "default-src 'none'" in result.headers["content-security-policy"]
    assert result.headers["cache-control"] == "no-store"
    assert not re.search(r"ya29|1//|eyJ|code=", result.html)


async def test_programs_that_only_open_the_link_do_not_use_it_up(served: VaultGround, edge: Stubs) -> None:
    started = await served.start_authorization(edge, "ms365")
    previews = [await Walk(edge, served.simulator).look(started.authorization_url) for _ in range(3)]

    shown = await Walk(edge, served.simulator).whole(started.authorization_url, await account_of(served, "ms365"))

    assert ["200"] * 3 == [preview.status for preview in previews]
    assert {"Connect your Microsoft 365 account"} == {preview.title for preview in previews}
    assert "Your account is connected" == shown.title


async def test_only_the_browser_that_has_the_page_can_press_its_button(served: VaultGround, edge: Stubs) -> None:
    url = (await served.start_authorization(edge, "ms365")).authorization_url
    walk, stranger = Walk(edge, served.simulator), Walk(edge, served.simulator)
    page, own = (await walk.look(url)).html, (await stranger.look(url)).html
    without_cookie, cookies = Walk(edge, served.simulator), dict(walk.cookies)

    refused = [
        await without_cookie.press(url, page),
        await stranger.press(url, page),
        await walk.press(url, page, proof="é"),
        await walk.press(url, page, ticket="another"),
        await walk.press(url.replace("/ms365/", "/googlews/"), page),
    ]
    walk.cookies = dict.fromkeys(cookies, 'x"; Domain=evil')
    refused.append(await walk.press(url, page))
    walk.cookies = cookies
    accepted, _ = await walk.press(url, page)
    late, _ = await stranger.press(url, own)

    assert ["400"] * 6 == [headers["x-http-status"] for headers, _ in refused]
    assert (
        "SameSite=Lax"
        in (
            await Walk(edge, served.simulator).look((await served.start_authorization(edge, "ms365")).authorization_url)
        ).headers["set-cookie"]
    )
    assert ("303", "400") == (accepted["x-http-status"], late["x-http-status"])


async def test_a_button_that_is_pressed_twice_works_with_the_last_press(served: VaultGround, edge: Stubs) -> None:
    account, url = (
        await account_of(served, "ms365"),
        (await served.start_authorization(edge, "ms365")).authorization_url,
    )
    walk = Walk(edge, served.simulator)
    page = (await walk.look(url)).html
    first, _ = await walk.press(url, page)
    second, _ = await walk.press(url, page)

    lost = await walk.result(await walk.complete(await walk.consent(first["location"], account)))
    shown = await walk.result(await walk.complete(await walk.consent(second["location"], account)))
    after, _ = await walk.press(url, page)

    assert ("This link is not valid any more", "Your account is connected") == (lost.title, shown.title)
    assert "400" == after["x-http-status"]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_ticket_works_once(served: VaultGround, edge: Stubs, provider: str) -> None:
    started = await served.start_authorization(edge, provider)
    walk = Walk(edge, served.simulator)
    await walk.open(started.authorization_url)

    again = await walk.open_badly(started.authorization_url)

    assert ("400", "This link is not valid any more") == (again.status, again.title)


@pytest.mark.parametrize(
    "change",
    [lambda url: url.partition("?")[0], lambda url: url + "x", lambda url: url.replace("/ms365/", "/googlews/")],
    ids=["without a ticket", "with another ticket", "at another provider"],
)
async def test_nothing_starts_without_a_good_ticket(served: VaultGround, edge: Stubs, change: object) -> None:
    started = await served.start_authorization(edge, "ms365")
    walk = Walk(edge, served.simulator)

    shown = await walk.open_badly(change(started.authorization_url))  # type: ignore[operator]

    assert ("400", "This link is not valid any more") == (shown.status, shown.title)
    assert {} == walk.cookies


async def test_an_old_ticket_and_an_old_state_are_refused(served: VaultGround, edge: Stubs) -> None:
    account = await account_of(served, "ms365")
    unopened = await served.start_authorization(edge, "ms365")
    opened = await served.start_authorization(edge, "ms365")
    walk = Walk(edge, served.simulator)
    back = await walk.consent(await walk.open(opened.authorization_url), account)
    await served.fetch("UPDATE vault.authorization_flows SET expires_at = now() - interval '1 second'")

    assert "This link is not valid any more" == (await walk.open_badly(unopened.authorization_url)).title
    assert "The sign-in could not be finished" == (await walk.result(await walk.complete(back))).title
    assert [] == await served.fetch("SELECT 1 FROM vault.tenants")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_replayed_callback_connects_nothing(served: VaultGround, edge: Stubs, provider: str) -> None:
    account = await account_of(served, provider)
    started = await served.start_authorization(edge, provider)
    walk = Walk(edge, served.simulator)
    back = await walk.consent(await walk.open(started.authorization_url), account)
    cookies = dict(walk.cookies)
    await walk.complete(back)
    calls = await served.control.call_count(f"{'ms' if provider == 'ms365' else 'google'}.token")

    walk.cookies = cookies
    again = await walk.result(await walk.complete(back))

    assert "This link is not valid any more" == again.title
    assert calls == await served.control.call_count(f"{'ms' if provider == 'ms365' else 'google'}.token")


async def test_another_browser_cannot_finish_and_does_not_spoil_the_flow(served: VaultGround, edge: Stubs) -> None:
    account = await account_of(served, "googlews")
    started = await served.start_authorization(edge, "googlews")
    walk, stranger = Walk(edge, served.simulator), Walk(edge, served.simulator)
    back = await walk.consent(await walk.open(started.authorization_url), account)

    stolen = await stranger.result(await stranger.complete(back))
    stranger.cookies = dict.fromkeys(walk.cookies, "forged")
    forged = await stranger.result(await stranger.complete(back))
    own = await walk.result(await walk.complete(back))

    assert "This link is not valid any more" == stolen.title == forged.title
    assert "Your account is connected" == own.title


async def test_an_invented_state_leads_nowhere(served: VaultGround, edge: Stubs) -> None:
    walk = Walk(edge, served.simulator)

    shown = await walk.result(await walk.complete("http://x/auth/oauth/ms365/callback?code=abc&state=invented"))

    assert "This link is not valid any more" == shown.title


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_whoever_says_no_is_told_so(served: VaultGround, edge: Stubs, provider: str) -> None:
    account = await account_of(served, provider)
    started = await served.start_authorization(edge, provider)

    shown = await Walk(edge, served.simulator).whole(started.authorization_url, account, action="deny")

    assert "You did not agree" == shown.title
    assert ["CONSENT_DENIED"] == [outcome for _, _, outcome in await served.audit("tenant.connect")]


async def test_admin_consent_is_told_from_a_no(served: VaultGround, edge: Stubs) -> None:
    account = await account_of(served, "ms365")
    await served.control.update_account(account, consent="admin_required")
    started = await served.start_authorization(edge, "ms365")

    try:
        shown = await Walk(edge, served.simulator).whole(started.authorization_url, account)
    finally:
        await served.control.update_account(account, consent="allowed")

    assert "An administrator must agree first" == shown.title


async def test_an_unticked_scope_is_named(served: VaultGround, edge: Stubs) -> None:
    account = "picky@workspace.test"  # who has granted nothing before
    await served.control.create_account("googlews", account)
    started = await served.start_authorization(edge, "googlews")

    shown = await Walk(edge, served.simulator).whole(started.authorization_url, account, untick=[GMAIL])

    assert "A required permission was not granted" == shown.title
    assert GMAIL in shown.html
    assert [] == await served.fetch("SELECT 1 FROM vault.tenants")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_reconnect_keeps_the_tenant_and_is_told_to_those_who_follow(
    served: VaultGround, edge: Stubs, ingest: Stubs, provider: str
) -> None:
    account = await account_of(served, provider)
    tenant_id = await served.connect(edge, provider, account, display_name="Sales")
    cursor = (await follow(ingest, "")).next_cursor

    again = await served.connect(edge, "", account, tenant_id=tenant_id)
    changes = (await follow(ingest, cursor)).changes

    assert tenant_id == again
    assert "Sales" == (await tenant_of(edge, tenant_id)).display_name
    assert [(tenant_id, True)] == [(change.tenant.tenant_id, change.is_reconnected) for change in changes]


async def test_a_reconnect_with_another_account_changes_nothing(served: VaultGround, edge: Stubs) -> None:
    account = await account_of(served, "ms365")
    other = "other.person@contoso.test"
    if other not in [found["address"] for found in await served.control.accounts("ms365")]:
        await served.control.create_account("ms365", other)
    tenant_id = await served.connect(edge, "ms365", account)
    before = await tenant_of(edge, tenant_id)

    started = await served.start_authorization(edge, "", tenant_id=tenant_id)
    shown = await Walk(edge, served.simulator).whole(started.authorization_url, other)

    assert "That was another account" == shown.title
    assert before == await tenant_of(edge, tenant_id)
    assert 1 == len(await served.fetch("SELECT 1 FROM vault.tenants"))


@pytest.mark.parametrize(("provider", "endpoint"), [("ms365", "ms.token"), ("googlews", "google.token")])
@pytest.mark.parametrize("kind", ["status", "garbage", "close"])
async def test_a_provider_that_is_down_is_told_from_a_no(
    served: VaultGround, edge: Stubs, provider: str, endpoint: str, kind: str
) -> None:
    account = await account_of(served, provider)
    started = await served.start_authorization(edge, provider)
    walk = Walk(edge, served.simulator)
    back = await walk.consent(await walk.open(started.authorization_url), account)
    await served.control.add_fault(kind, endpoint=endpoint, **({"status": 503} if kind == "status" else {}))

    shown = await walk.result(await walk.complete(back))

    assert "The provider does not answer at the moment" == shown.title


async def test_a_code_of_somebody_else_is_of_no_use(served: VaultGround, edge: Stubs) -> None:
    """The code of one flow is put into the callback of another: PKCE does not match."""
    account = await account_of(served, "ms365")
    walks = [Walk(edge, served.simulator), Walk(edge, served.simulator)]
    backs = []
    for walk in walks:
        started = await served.start_authorization(edge, "ms365")
        backs.append(await walk.consent(await walk.open(started.authorization_url), account))
    stolen = parse_qs(urlsplit(backs[0]).query)["code"][0]

    shown = await walks[1].result(await walks[1].complete(backs[1], code=stolen))

    assert "The sign-in could not be finished" == shown.title
    assert [] == await served.fetch("SELECT 1 FROM vault.tenants")


async def test_two_browsers_that_connect_one_new_account_make_one_tenant(served: VaultGround, edge: Stubs) -> None:
    account = await account_of(served, "googlews")

    first, second = [await served.connect(edge, "googlews", account) for _ in range(2)]

    assert first == second


async def test_keys_that_are_limited_connect_no_new_account(served: VaultGround, edge: Stubs) -> None:
    limited = (
        ADMIN[0],
        ("x-mailmesh-role", "operator"),
        ("x-mailmesh-tenants", "019a9f0e-7c1e-7000-8000-000000000002"),
    )
    request = tenant_service_pb2.StartAuthorizationRequest(provider="ms365")

    with pytest.raises(MeshError) as wide:
        await edge.tenants.StartAuthorization(request, metadata=limited)
    with pytest.raises(MeshError) as unknown:
        await served.start_authorization(edge, "imap")

    assert ("SCOPE_TOO_WIDE", "PROVIDER_UNKNOWN") == (wide.value.reason, unknown.value.reason)
    assert "ms365,googlews" == unknown.value.metadata["known"]


async def follow(ingest: Stubs, cursor: str) -> Any:
    return await ingest.mesh.ListTenantChanges(token_vault_service_pb2.ListTenantChangesRequest(cursor=cursor))
