"""Domain-wide delegation and the Directory API, met with the real google-auth and Google's documents."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import google.auth.exceptions
import google.auth.jwt
import google.auth.transport.requests
import jwt
import pytest
import requests
from google.auth import crypt
from google.oauth2 import service_account

from services.meshkit.secret import Secret
from services.token_vault.errors import IdentityUnproven
from services.token_vault.issuers.app_keys import AppKey
from services.token_vault.issuers.blocking_pool import BlockingPool
from services.token_vault.issuers.google_app import GoogleApp, GoogleAppSettings
from services.token_vault.issuers.http import LibraryHttp, ProviderApi, trust
from tests.programs.simulator import RunningSimulator
from tests.wire.simulator import google_schema

AUTH = "https://www.googleapis.com/auth/"
USERS, READ = f"{AUTH}admin.directory.user.readonly", f"{AUTH}gmail.readonly"
CARLA = "carla@fabrikam.test"


def asked(simulator: RunningSimulator, key: dict[str, str], subject: str, *scopes: str) -> str:
    session = requests.Session()
    session.verify, session.trust_env = str(simulator.ca_file), False
    made = service_account.Credentials.from_service_account_info(key, scopes=scopes, subject=subject)
    made.refresh(google.auth.transport.requests.Request(session))
    return str(made.token)


@pytest.fixture
async def key(control) -> dict[str, str]:
    made: dict[str, str] = await control.new_service_account_key()
    await control.delegate(made["client_id"], "fabrikam.test", [USERS, READ])
    return made


async def test_google_auth_gets_a_token_that_reads_the_named_users_mailbox(simulator, control, browser, key):
    token = await asyncio.to_thread(asked, simulator, key, CARLA, READ)
    url = f"{simulator.settings['MAILMESH_GOOGLEWS_GMAIL_URL']}/users/me/profile"
    answer = await browser.get(url, headers={"authorization": f"Bearer {token}"})

    assert CARLA == answer.json()["emailAddress"]


async def test_the_directory_lists_users_to_an_administrator_alone(simulator, control, browser, key):
    await control.create_account("googlews", "boss@fabrikam.test", isAdmin=True, name="Bea Boss")
    base = f"{simulator.settings['MAILMESH_GOOGLEWS_DIRECTORY_URL']}/users"
    by_boss = {"authorization": f"Bearer {await asyncio.to_thread(asked, simulator, key, 'boss@fabrikam.test', USERS)}"}
    by_carla = {"authorization": f"Bearer {await asyncio.to_thread(asked, simulator, key, CARLA, USERS)}"}
    first = await browser.get(base, headers=by_boss, params={"customer": "my_customer", "maxResults": 1})
    mark = first.json()["nextPageToken"]
    second = await browser.get(base, headers=by_boss, params={"customer": "my_customer", "pageToken": mark})
    one = await browser.get(f"{base}/{CARLA}", headers=by_boss)
    missing = await browser.get(f"{base}/nobody@fabrikam.test", headers=by_boss)
    refused = await browser.get(base, headers=by_carla, params={"customer": "my_customer"})

    for answer in (first, second, one, missing, refused):
        google_schema.check_answer("GET", str(answer.url), answer.status_code, answer.content)
    assert ["boss@fabrikam.test"] == [user["primaryEmail"] for user in first.json()["users"]]
    assert [CARLA] == [user["primaryEmail"] for user in second.json()["users"]]
    assert second.json()["users"] == [one.json()]
    assert (404, 403) == (missing.status_code, refused.status_code)


@pytest.mark.parametrize(
    ("subject", "scopes", "expected"),
    [
        (CARLA, (READ, f"{AUTH}gmail.send"), "unauthorized_client"),
        ("nobody@fabrikam.test", (READ,), "invalid_grant"),
        (CARLA, (), "invalid_scope"),
    ],
)
async def test_scopes_beyond_the_grant_strangers_and_no_scopes_are_refused(
    simulator, control, key, subject, scopes, expected
):
    with pytest.raises(google.auth.exceptions.RefreshError) as caught:
        await asyncio.to_thread(asked, simulator, key, subject, *scopes)
    assert expected == caught.value.args[1]["error"]


async def test_a_deleted_key_is_refused_by_its_signature(simulator, control, key):
    await control.forget_service_account_key(key["private_key_id"])
    with pytest.raises(google.auth.exceptions.RefreshError) as caught:
        await asyncio.to_thread(asked, simulator, key, CARLA, READ)
    assert ("invalid_grant", "Invalid JWT Signature.") == (
        caught.value.args[1]["error"], caught.value.args[1]["error_description"]
    )  # fmt: skip


FORGED: dict[str, dict[str, Any]] = {
    "time": {"exp": 10**10},
    "audience": {"aud": "https://other.example/token"},
    "issuer": {"iss": "other@example.iam.gserviceaccount.com"},
}


@pytest.mark.parametrize("what", [*FORGED, "signature"])
async def test_a_forged_assertion_is_refused(simulator, browser, control, key, what):
    other = await control.new_service_account_key(email="other@mailmesh-simulator.iam.gserviceaccount.com")
    signer = crypt.RSASigner.from_string((other if what == "signature" else key)["private_key"], key["private_key_id"])
    made = service_account.Credentials(signer, key["client_email"], key["token_uri"], scopes=[READ], subject=CARLA)
    claims = jwt.decode(made._make_authorization_grant_assertion(), options={"verify_signature": False})
    assertion = google.auth.jwt.encode(signer, {**claims, **FORGED.get(what, {})}).decode()
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    answer = await browser.post(simulator.settings["MAILMESH_GOOGLEWS_TOKEN_URL"], data=form)

    assert (400, "invalid_grant") == (answer.status_code, json.loads(answer.content)["error"])


@dataclass
class _OneKey:
    """The key of one service account."""

    key: dict[str, str]

    async def usable(self, provider: str) -> list[AppKey]:
        found = self.key
        secret = Secret(found["private_key"])
        return [AppKey("", found["private_key_id"], found["client_email"], found["client_id"], "", secret)]


async def test_the_app_reads_the_users_of_the_organisation_that_it_was_asked_for_alone(simulator, control, key):
    await control.create_account("googlews", "chief@fabrikam.test", isAdmin=True, name="Bea Boss")
    at = {name: simulator.settings[f"MAILMESH_GOOGLEWS_{name.upper()}"] for name in GoogleAppSettings.__annotations__}
    context = trust(simulator.ca_file)
    transports = (
        BlockingPool("googlews", 2, 30),
        LibraryHttp("googlews", context, 30),
        ProviderApi("googlews", context, 30),
    )
    app = GoogleApp(GoogleAppSettings(**at), _OneKey(key), *transports)
    try:
        token = await app.directory_token("", "chief@fabrikam.test")
        directory_id = await app.directory_of(token.access_token, "chief@fabrikam.test")
        own = await app.directory_token(directory_id, "chief@fabrikam.test")
        users, _ = await app.users(own.access_token, "", 10)
        # Google means the administrator's own organisation by `my_customer`, whatever the caller meant.
        with pytest.raises(IdentityUnproven) as caught:
            await app.directory_token("C0other99", "chief@fabrikam.test")
    finally:
        await app.close()

    assert "chief@fabrikam.test" in {user.address for user in users}
    assert {"provider": "googlews", "detail": "directory"} == caught.value.metadata
