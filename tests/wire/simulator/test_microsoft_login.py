"""Microsoft's identity platform, met with the real MSAL."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import jwt
import msal
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from simulator.browser import consent
from simulator.control_client import SimulatorControl
from tests.factories.app_credentials import client_certificate
from tests.programs.simulator import RunningSimulator

REDIRECT = "https://mailmesh.test/auth/oauth/ms365/callback"
SCOPES = ["User.Read", "Mail.Read"]
ANNA = "anna@contoso.test"
# The callback is a GET, as both providers have it by default.
pytestmark = pytest.mark.filterwarnings("ignore:response_mode=.form_post. is recommended:UserWarning")


def application(
    simulator: RunningSimulator, secret: str = "", tenant: str = "organizations"
) -> msal.ConfidentialClientApplication:
    return msal.ConfidentialClientApplication(
        simulator.settings["MAILMESH_MS365_CLIENT_ID"],
        client_credential=secret or simulator.settings["MAILMESH_MS365_CLIENT_SECRET"],
        authority=f"{simulator.microsoft}/{tenant}",
        instance_discovery=False,
        verify=str(simulator.ca_file),
    )


def landing(answer: httpx.Response) -> dict[str, str]:
    """Return the parameters of the redirect to our callback."""
    location = answer.headers["location"]
    assert location.startswith(REDIRECT)
    return dict(parse_qsl(urlsplit(location).query))


async def visit(simulator: RunningSimulator, flow: dict[str, Any], **choices: Any) -> dict[str, str]:
    return landing(
        await consent(flow["auth_uri"], ca=str(simulator.ca_file), stop_at=REDIRECT, **{"account": ANNA, **choices})
    )


async def connect(simulator: RunningSimulator, app: msal.ConfidentialClientApplication) -> dict[str, Any]:
    flow = await asyncio.to_thread(app.initiate_auth_code_flow, SCOPES, redirect_uri=REDIRECT)
    answer = await visit(simulator, flow)
    result: dict[str, Any] = await asyncio.to_thread(app.acquire_token_by_auth_code_flow, flow, answer)
    return result


@pytest.fixture
async def app(simulator: RunningSimulator, control: SimulatorControl) -> msal.ConfidentialClientApplication:
    await control.update_account(ANNA, consent="allowed")
    return await asyncio.to_thread(application, simulator)


async def test_msal_connects_an_account_with_pkce_and_nonce(simulator, app, browser, held_tokens):
    result = await connect(simulator, app)
    assert f"{simulator.microsoft}/organizations/oauth2/v2.0/token" in held_tokens
    assert "error" not in result
    assert {"openid", "profile", "email", "User.Read", "Mail.Read"} >= set(result["scope"].split())
    claims = result["id_token_claims"]
    assert ANNA == claims["preferred_username"]
    me = await browser.get(
        f"{simulator.microsoft}/graph/v1.0/me", headers={"authorization": f"Bearer {result['access_token']}"}
    )
    assert (claims["oid"], ANNA) == (me.json()["id"], me.json()["mail"])


async def test_the_id_token_is_signed_by_a_published_key_and_names_its_tenant(simulator, app, browser, control):
    result = await connect(simulator, app)
    tid = result["id_token_claims"]["tid"]
    configuration = (await browser.get(f"{simulator.microsoft}/{tid}/v2.0/.well-known/openid-configuration")).json()
    keys = jwt.PyJWKSet.from_dict((await browser.get(configuration["jwks_uri"])).json())
    await control.rotate_keys("ms365")
    still_published = jwt.PyJWKSet.from_dict((await browser.get(configuration["jwks_uri"])).json())
    for known in (keys, still_published):
        key = known[jwt.get_unverified_header(result["id_token"])["kid"]]
        claims = jwt.decode(
            result["id_token"],
            key,
            algorithms=["RS256"],
            audience=simulator.settings["MAILMESH_MS365_CLIENT_ID"],
            issuer=configuration["issuer"],
        )
        assert result["id_token_claims"]["oid"] == claims["oid"]


async def test_an_own_api_of_the_organisation_gets_tokens_that_it_can_verify(simulator, browser, control):
    (facts,) = [one for one in await control.accounts("ms365") if one["address"] == ANNA]
    await control.update_account(ANNA, groups=["support"])
    api = "7d1f0e5c-2222-4333-8444-555566667777"
    issued = await control.issue_tokens(ANNA, scopes=f"api://{api}/mail api://{api}/more")
    base = f"{simulator.microsoft}/{facts['directory']}"
    keys = jwt.PyJWKSet.from_dict((await browser.get(f"{base}/discovery/v2.0/keys")).json())
    key = keys[jwt.get_unverified_header(issued["access_token"])["kid"]]

    claims = jwt.decode(issued["access_token"], key, algorithms=["RS256"], audience=api, issuer=f"{base}/v2.0")

    assert ("mail more", ["support"], facts["id"]) == (claims["scp"], claims["groups"], claims["oid"])
    assert "nonce" not in claims


async def test_a_shared_authority_publishes_an_issuer_with_a_placeholder(simulator, browser):
    url = f"{simulator.microsoft}/organizations/v2.0/.well-known/openid-configuration"
    assert f"{simulator.microsoft}/{{tenantid}}/v2.0" == (await browser.get(url)).json()["issuer"]


async def test_refresh_tokens_are_replaced_and_old_ones_go_on_working(simulator, app):
    first = await connect(simulator, app)
    tokens = {first["refresh_token"]}
    for _ in range(2):
        again = await asyncio.to_thread(app.acquire_token_by_refresh_token, first["refresh_token"], SCOPES)
        tokens.add(again["refresh_token"])
    assert 3 == len(tokens)


async def test_a_code_works_once(simulator, app):
    flow = await asyncio.to_thread(app.initiate_auth_code_flow, SCOPES, redirect_uri=REDIRECT)
    answer = await visit(simulator, flow)
    await asyncio.to_thread(app.acquire_token_by_auth_code_flow, flow, answer)
    again = await asyncio.to_thread(app.acquire_token_by_auth_code_flow, flow, answer)
    assert ("invalid_grant", [54005]) == (again["error"], again["error_codes"])


async def test_a_code_lives_ten_minutes(simulator, app, control):
    flow = await asyncio.to_thread(app.initiate_auth_code_flow, SCOPES, redirect_uri=REDIRECT)
    answer = await visit(simulator, flow)
    await control.advance_clock(601)
    late = await asyncio.to_thread(app.acquire_token_by_auth_code_flow, flow, answer)
    assert [70008] == late["error_codes"]


async def test_a_wrong_verifier_is_refused(simulator, app):
    flow = await asyncio.to_thread(app.initiate_auth_code_flow, SCOPES, redirect_uri=REDIRECT)
    answer = await visit(simulator, flow)
    forged = await asyncio.to_thread(app.acquire_token_by_auth_code_flow, {**flow, "code_verifier": "x" * 43}, answer)
    assert [501481] == forged["error_codes"]


async def test_a_person_may_decline(simulator, app):
    flow = await asyncio.to_thread(app.initiate_auth_code_flow, SCOPES, redirect_uri=REDIRECT)
    answer = await visit(simulator, flow, action="deny")
    assert ("access_denied", "cancel", flow["state"]) == (answer["error"], answer["error_subcode"], answer["state"])


async def test_an_administrator_may_have_to_consent(simulator, app, control):
    await control.update_account(ANNA, consent="admin_required")
    flow = await asyncio.to_thread(app.initiate_auth_code_flow, SCOPES, redirect_uri=REDIRECT)
    answer = await visit(simulator, flow)
    assert "AADSTS90094" in answer["error_description"]


async def test_a_revoked_grant_is_an_invalid_grant_with_the_reason(simulator, app, control):
    first = await connect(simulator, app)
    await control.revoke(ANNA)
    refused = await asyncio.to_thread(app.acquire_token_by_refresh_token, first["refresh_token"], SCOPES)
    assert ("invalid_grant", [50173]) == (refused["error"], refused["error_codes"])
    assert "refresh_token" in await connect(simulator, app)


async def test_a_refresh_token_dies_of_ninety_idle_days(simulator, app, control):
    first = await connect(simulator, app)
    await control.advance_clock(91 * 86400)
    refused = await asyncio.to_thread(app.acquire_token_by_refresh_token, first["refresh_token"], SCOPES)
    assert [700082] == refused["error_codes"]


async def test_a_scope_never_consented_to_needs_consent(simulator, app):
    first = await connect(simulator, app)
    refused = await asyncio.to_thread(app.acquire_token_by_refresh_token, first["refresh_token"], ["Calendars.Read"])
    assert ([65001], "consent_required") == (refused["error_codes"], refused["suberror"])


async def test_a_wrong_secret_is_an_invalid_client(simulator, app):
    first = await connect(simulator, app)
    wrong = await asyncio.to_thread(application, simulator, "wrong")
    refused = await asyncio.to_thread(wrong.acquire_token_by_refresh_token, first["refresh_token"], SCOPES)
    assert ("invalid_client", [7000215]) == (refused["error"], refused["error_codes"])


async def test_an_access_token_expires_by_the_simulated_clock(simulator, app, browser, control):
    result = await connect(simulator, app)
    headers = {"authorization": f"Bearer {result['access_token']}"}
    await control.advance_clock(3600)
    answer = await browser.get(f"{simulator.microsoft}/graph/v1.0/me", headers=headers)
    assert (401, "InvalidAuthenticationToken") == (answer.status_code, answer.json()["error"]["code"])


async def own_token(simulator: RunningSimulator, directory: str) -> dict[str, Any]:
    """Return what msal gets for the application itself."""
    daemon = await asyncio.to_thread(application, simulator, "", directory)
    result: dict[str, Any] = await asyncio.to_thread(
        daemon.acquire_token_for_client, ["https://graph.microsoft.com/.default"]
    )
    return result


async def test_an_application_gets_tokens_of_its_own_for_a_tenant_whose_administrator_consents(
    simulator, control, browser, app
):
    facts = (await control.accounts("ms365"))[0]
    others = await control.create_account("ms365", "boss@elsewhere.test")
    query = {
        "client_id": app.client_id,
        "redirect_uri": REDIRECT,
        "state": "s1",
        "scope": f"{simulator.microsoft}/.default",
    }
    url = f"{simulator.microsoft}/{facts['directory']}/v2.0/adminconsent?{urlencode(query)}"
    walk = {"account": facts["address"], "ca": str(simulator.ca_file), "stop_at": REDIRECT}
    before = await own_token(simulator, facts["directory"])
    denied = landing(await consent(url, action="deny", **walk))
    after_denial = await own_token(simulator, facts["directory"])
    accepted = landing(await consent(url, **walk))
    result = await own_token(simulator, facts["directory"])
    elsewhere = await own_token(simulator, others["directory"])

    assert (["unauthorized_client"] * 3, 700016) == (
        [before["error"], after_denial["error"], elsewhere["error"]], before["error_codes"][0]
    )  # fmt: skip
    assert ("True", "access_denied", "s1") == (denied["admin_consent"], denied["error"], denied["state"])
    assert ("True", facts["directory"], "s1") == (accepted["admin_consent"], accepted["tenant"], accepted["state"])
    claims = json.loads(base64.urlsafe_b64decode(result["access_token"].split(".")[1] + "=="))
    assert (facts["directory"], True) == (claims["tid"], "Mail.Read" in claims["roles"])
    headers = {"authorization": f"Bearer {result['access_token']}"}
    base = f"{simulator.microsoft}/graph/v1.0"
    assert 400 == (await browser.get(f"{base}/me", headers=headers)).status_code
    assert 200 == (await browser.get(f"{base}/users/{facts['id']}/messages", headers=headers)).status_code
    assert 404 == (await browser.get(f"{base}/users/{others['id']}/messages", headers=headers)).status_code
    page = (await browser.get(f"{base}/users?$select=id,mail&$top=1", headers=headers)).json()
    assert {facts["directory"]} == {
        one["directory"] for one in await control.accounts("ms365") if one["id"] in str(page)
    }


async def test_an_unknown_client_and_an_unregistered_page_get_no_redirect(simulator, browser):
    url = f"{simulator.microsoft}/organizations/oauth2/v2.0/authorize"
    answer = await browser.get(url, params={"client_id": "stranger", "redirect_uri": REDIRECT, "response_type": "code"})
    assert (400, True) == (answer.status_code, "AADSTS700016" in answer.text)


def public(simulator: RunningSimulator) -> msal.PublicClientApplication:
    return msal.PublicClientApplication(
        simulator.ready["microsoftPublicClientId"],
        authority=f"{simulator.microsoft}/organizations",
        instance_discovery=False,
        verify=str(simulator.ca_file),
    )


async def test_msals_public_client_connects_without_a_secret(simulator, app):
    client = await asyncio.to_thread(public, simulator)
    result = await connect(simulator, client)
    assert ANNA == result["id_token_claims"]["preferred_username"]
    again = await asyncio.to_thread(client.acquire_token_silent, SCOPES, client.get_accounts()[0], force_refresh=True)
    assert again["access_token"] != result["access_token"]


@pytest.mark.parametrize(("action", "wanted"), [("accept", "access_token"), ("deny", "error")])
async def test_msals_device_flow_waits_for_the_persons_decision(simulator, app, action, wanted):
    client = await asyncio.to_thread(public, simulator)
    flow = await asyncio.to_thread(client.initiate_device_flow, SCOPES)
    waiting = asyncio.create_task(asyncio.to_thread(client.acquire_token_by_device_flow, flow))
    url = f"{flow['verification_uri']}?user_code={flow['user_code']}"
    await consent(url, ANNA, action=action, ca=str(simulator.ca_file))
    result = await waiting
    assert wanted in result, result


async def test_a_device_code_dies_with_its_time_and_a_confidential_client_gets_none(simulator, app, control):
    client = await asyncio.to_thread(public, simulator)
    flow = await asyncio.to_thread(client.initiate_device_flow, SCOPES)
    await control.advance_clock(1000)
    result = await asyncio.to_thread(client.acquire_token_by_device_flow, flow)
    assert ("expired_token", [70020]) == (result["error"], result["error_codes"])


def by_certificate(simulator: RunningSimulator, certificate: str, key: str, thumbprint: str = "") -> dict[str, Any]:
    """Return the answer that msal gets when a certificate proves the application."""
    named = {"thumbprint": thumbprint} if thumbprint else {"public_certificate": certificate}
    made = msal.ConfidentialClientApplication(
        simulator.settings["MAILMESH_MS365_CLIENT_ID"],
        client_credential={"private_key": key, **named},
        authority=f"{simulator.microsoft}/organizations",
        instance_discovery=False,
        verify=str(simulator.ca_file),
    )
    answer: dict[str, Any] = made.acquire_token_by_refresh_token("none", SCOPES)
    return answer


async def test_a_client_assertion_is_verified_by_a_registered_certificate(simulator, control):
    certificate, key = client_certificate()
    sha1 = x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA1()).hex()  # noqa: S303
    unknown = await asyncio.to_thread(by_certificate, simulator, certificate, key)
    await control.add_client_certificate(certificate)
    accepted = [
        await asyncio.to_thread(by_certificate, simulator, certificate, key),
        await asyncio.to_thread(by_certificate, simulator, certificate, key, sha1),
    ]
    forged = await asyncio.to_thread(by_certificate, simulator, certificate, client_certificate()[1])
    await control.remove_client_certificate(certificate)
    removed = await asyncio.to_thread(by_certificate, simulator, certificate, key)

    # The client is accepted, and its refresh token is not.
    assert [[70000]] * 2 == [answer["error_codes"] for answer in accepted]
    assert [("invalid_client", [700027])] * 3 == [
        (answer["error"], answer["error_codes"]) for answer in (unknown, forged, removed)
    ]
