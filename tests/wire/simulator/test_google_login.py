"""Google's accounts, met with the real google-auth and google-auth-oauthlib."""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import google.auth.exceptions
import google.auth.transport.requests
import google.oauth2.credentials
import google.oauth2.id_token
import pytest
import requests
from google_auth_oauthlib.flow import Flow

from simulator.browser import consent
from tests.programs.simulator import RunningSimulator

REDIRECT = "https://mailmesh.test/auth/oauth/googlews/callback"
READONLY = "https://www.googleapis.com/auth/gmail.readonly"
COMPOSE = "https://www.googleapis.com/auth/gmail.compose"
SCOPES = ["openid", "https://www.googleapis.com/auth/userinfo.email", READONLY]
CARLA = "carla@fabrikam.test"


def session(simulator: RunningSimulator) -> requests.Session:
    made = requests.Session()
    made.verify = str(simulator.ca_file)
    made.trust_env = False
    return made


def new_flow(simulator: RunningSimulator, scopes: Sequence[str] = SCOPES) -> Flow:
    settings = simulator.settings
    web = {
        "client_id": settings["MAILMESH_GOOGLEWS_CLIENT_ID"],
        "client_secret": settings["MAILMESH_GOOGLEWS_CLIENT_SECRET"],
        "auth_uri": settings["MAILMESH_GOOGLEWS_AUTH_URL"],
        "token_uri": settings["MAILMESH_GOOGLEWS_TOKEN_URL"],
    }
    flow = Flow.from_client_config({"web": web}, list(scopes), redirect_uri=REDIRECT, autogenerate_code_verifier=True)
    flow.oauth2session.verify = str(simulator.ca_file)
    flow.oauth2session.trust_env = False
    return flow


async def visit(simulator: RunningSimulator, flow: Flow, prompt: str = "consent", **choices: Any) -> dict[str, str]:
    url, _ = flow.authorization_url(access_type="offline", prompt=prompt, include_granted_scopes="false")
    answer = await consent(url, CARLA, ca=str(simulator.ca_file), stop_at=REDIRECT, **choices)
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


async def connect(simulator: RunningSimulator, **choices: Any) -> dict[str, Any]:
    flow = new_flow(simulator)
    answer = await visit(simulator, flow, **choices)
    tokens: dict[str, Any] = await asyncio.to_thread(flow.fetch_token, code=answer["code"])
    return tokens


def credentials(simulator: RunningSimulator, tokens: dict[str, Any]) -> google.oauth2.credentials.Credentials:
    settings = simulator.settings
    return google.oauth2.credentials.Credentials(
        None,
        refresh_token=tokens["refresh_token"],
        token_uri=settings["MAILMESH_GOOGLEWS_TOKEN_URL"],
        client_id=settings["MAILMESH_GOOGLEWS_CLIENT_ID"],
        client_secret=settings["MAILMESH_GOOGLEWS_CLIENT_SECRET"],
    )


def refresh(simulator: RunningSimulator, tokens: dict[str, Any]) -> google.oauth2.credentials.Credentials:
    made = credentials(simulator, tokens)
    made.refresh(google.auth.transport.requests.Request(session(simulator)))
    return made


async def test_google_auth_connects_an_account_with_pkce(simulator, control):
    tokens = await connect(simulator)
    assert set(SCOPES) == set(tokens["scope"])
    request = google.auth.transport.requests.Request(session(simulator))
    claims = await asyncio.to_thread(
        google.oauth2.id_token.verify_token,
        tokens["id_token"],
        request,
        simulator.settings["MAILMESH_GOOGLEWS_CLIENT_ID"],
        simulator.settings["MAILMESH_GOOGLEWS_CERTS_URL"],
    )
    assert ("https://accounts.google.com", CARLA, True) == (claims["iss"], claims["email"], claims["email_verified"])


async def test_a_refresh_gives_a_token_that_works_and_no_new_refresh_token(simulator, control, browser, held_tokens):
    tokens = await connect(simulator)
    made = await asyncio.to_thread(refresh, simulator, tokens)
    assert f"{simulator.google}/token" in held_tokens
    assert tokens["refresh_token"] == made.refresh_token
    url = simulator.settings["MAILMESH_GOOGLEWS_USERINFO_URL"]
    answer = await browser.get(url, headers={"authorization": f"Bearer {made.token}"})
    assert CARLA == answer.json()["email"]


async def test_a_second_consent_without_prompt_gives_no_refresh_token(simulator, control):
    await connect(simulator)
    assert "refresh_token" not in await connect(simulator, prompt="select_account")


async def test_a_person_may_untick_a_scope(simulator, control, monkeypatch):
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")
    tokens = await connect(simulator, untick=[READONLY])
    assert READONLY not in tokens["scope"]


@pytest.mark.parametrize("includes", ["true", "false"])
async def test_a_later_consent_includes_the_earlier_ones_if_it_is_asked_to(simulator, control, monkeypatch, includes):
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")
    await connect(simulator)
    flow = new_flow(simulator, ["openid", COMPOSE])
    url, _ = flow.authorization_url(access_type="offline", prompt="consent", include_granted_scopes=includes)
    answer = await consent(url, CARLA, ca=str(simulator.ca_file), stop_at=REDIRECT)
    query = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    tokens = await asyncio.to_thread(flow.fetch_token, code=query["code"])

    earlier = {*SCOPES} - {"openid"} if includes == "true" else set()
    assert {"openid", COMPOSE, *earlier} == set(tokens["scope"])


async def test_a_person_may_decline(simulator, control):
    answer = await visit(simulator, new_flow(simulator), action="deny")
    assert "access_denied" == answer["error"]


async def test_an_administrator_may_forbid_the_application(simulator, control):
    await control.update_account(CARLA, consent="blocked")
    url, _ = new_flow(simulator).authorization_url(access_type="offline")
    answer = await consent(url, CARLA, ca=str(simulator.ca_file), stop_at=REDIRECT)
    await control.update_account(CARLA, consent="allowed")
    assert (400, True) == (answer.status_code, "admin_policy_enforced" in answer.text)


async def test_a_code_works_once(simulator, control):
    flow = new_flow(simulator)
    answer = await visit(simulator, flow)
    await asyncio.to_thread(flow.fetch_token, code=answer["code"])
    with pytest.raises(Exception, match="invalid_grant"):
        await asyncio.to_thread(flow.fetch_token, code=answer["code"])


async def test_a_wrong_verifier_is_refused(simulator, control):
    flow = new_flow(simulator)
    answer = await visit(simulator, flow)
    flow.code_verifier = "x" * 43
    with pytest.raises(Exception, match="Invalid code verifier"):
        await asyncio.to_thread(flow.fetch_token, code=answer["code"])


async def test_revoking_an_access_token_kills_its_refresh_token(simulator, control, browser):
    tokens = await connect(simulator)
    url = simulator.settings["MAILMESH_GOOGLEWS_REVOKE_URL"]
    assert 200 == (await browser.post(url, data={"token": tokens["access_token"]})).status_code
    with pytest.raises(google.auth.exceptions.RefreshError, match="invalid_grant"):
        await asyncio.to_thread(refresh, simulator, tokens)
    assert 400 == (await browser.post(url, data={"token": tokens["access_token"]})).status_code


async def test_the_hundred_and_first_refresh_token_kills_the_oldest(simulator, control):
    await control.create_account("googlews", "many@fabrikam.test")
    first = await control.issue_tokens("many@fabrikam.test")
    await asyncio.to_thread(refresh, simulator, first)
    for _ in range(100):
        await control.issue_tokens("many@fabrikam.test")
    with pytest.raises(google.auth.exceptions.RefreshError):
        await asyncio.to_thread(refresh, simulator, first)
