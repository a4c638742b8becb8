"""People sign in at the identity provider of the operator's organisation, through the real edge."""

import asyncio
import re
import uuid
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from simulator.browser import consent
from tests.mesh.console.walking import CHROMIUM, walked
from tests.mesh.token_vault.edge.conftest import ORGANISATION, Edge
from tests.programs.toolchains import require

pytestmark = pytest.mark.timeout(300)

START = "/auth/oauth/sign-in"
RETURN = "/auth/oauth/signed-in"
FLOW, SESSION = "__Host-mailmesh-sign-in", "__Host-mailmesh-session"


class Browser:
    """A browser at the edge: it keeps the cookies, whose attribute `Secure` a loopback address satisfies."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self.cookies: dict[str, str] = {}
        self.attributes: dict[str, dict[str, str]] = {}

    async def get(self, path: str) -> httpx.Response:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"cookie": cookie, "sec-fetch-site": "same-origin"} if cookie else {}
        answer = await self._edge.http.get(path, headers=headers, follow_redirects=False)
        for given in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(given).items():
                self.cookies[name] = morsel.value
                self.attributes[name] = {key: str(value) for key, value in morsel.items()}
                if morsel["max-age"] == "0":
                    del self.cookies[name]
        return answer

    async def start(self) -> str:
        answer = await self.get(START)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    async def agree(self, url: str, account: str) -> str:
        """Signs in at the provider and returns path and query of the address that it leads back to."""
        async with self._edge.ground.simulator.browser() as browser:
            last = await consent(url, account, client=browser, stop_at=self._edge.url)
        back = urlsplit(last.headers["location"])
        return f"{back.path}?{back.query}"

    async def sign_in(self, account: str) -> httpx.Response:
        return await self.get(await self.agree(await self.start(), account))

    async def session(self) -> httpx.Response:
        return await self.get("/v1/sessions/current")


@pytest.fixture
async def browser(edge: Edge) -> Browser:
    return Browser(edge)


async def person(edge: Edge, *groups: str) -> str:
    """An account of the organisation, in these groups; returns its address."""
    address = f"p{uuid.uuid4().hex[:12]}@example.com"
    await edge.ground.control.create_account("ms365", address, directory=ORGANISATION, groups=list(groups))
    return address


async def key_of(browser: Browser) -> Any:
    answer = await browser.session()
    assert answer.status_code == 200, answer.text
    return answer.json()["apiKey"]


def changed(path: str, **values: str) -> str:
    parts = urlsplit(path)
    query = {name: found[0] for name, found in parse_qs(parts.query).items()} | values
    return f"{parts.path}?{urlencode(query)}"


async def test_a_person_signs_in_with_the_rights_of_their_groups(edge: Edge, browser: Browser) -> None:
    address = await person(edge, "support", "other")

    answer = await browser.sign_in(address)
    key = await key_of(browser)

    assert (303, f"{edge.url}/console/") == (answer.status_code, answer.headers["location"])
    assert {SESSION} == set(browser.cookies)
    assert ("Strict", "/", True, True) == tuple(
        found if name in {"samesite", "path"} else bool(found)
        for name in ("samesite", "path", "secure", "httponly")
        for found in [browser.attributes[SESSION][name]]
    )
    assert ("ROLE_OPERATOR", ["mail.read", "mail.send"]) == (key["role"], key["abilities"])
    assert f"{address} (signed in)" == key["displayName"]


async def test_the_browser_is_sent_on_with_state_nonce_and_pkce(edge: Edge, browser: Browser) -> None:
    query = {name: found[0] for name, found in parse_qs(urlsplit(await browser.start()).query).items()}

    assert ("code", "S256", f"{edge.url}{RETURN}") == (
        query["response_type"],
        query["code_challenge_method"],
        query["redirect_uri"],
    )
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", query[name]) for name in ("state", "nonce", "code_challenge"))
    assert len({query["state"], query["nonce"], query["code_challenge"], browser.cookies[FLOW]}) == 4
    assert "Lax" == browser.attributes[FLOW]["samesite"]


async def test_one_key_stands_for_a_person_and_has_the_rights_of_the_latest_sign_in(edge: Edge) -> None:
    address = await person(edge, "admins")
    first, second = Browser(edge), Browser(edge)
    await first.sign_in(address)
    before = await key_of(first)
    await edge.ground.control.update_account(address, groups=["readers"])

    await second.sign_in(address)
    after = await key_of(second)

    assert before["apiKeyId"] == after["apiKeyId"]
    assert ("ROLE_ADMIN", ["*"]) == (before["role"], before["abilities"])
    assert ("ROLE_READER", ["mail.read"]) == (after["role"], after["abilities"])
    changes = await edge.ground.fetch(
        "SELECT detail->>'role' AS role FROM vault.audit_entries WHERE action = 'api_key.change'"
    )
    assert ["reader"] == [row["role"] for row in changes]


async def test_a_person_who_lost_all_groups_is_refused_and_signed_out_everywhere(edge: Edge, browser: Browser) -> None:
    address = await person(edge, "support")
    await browser.sign_in(address)
    await edge.ground.control.update_account(address, groups=["other"])
    again = Browser(edge)

    refused = await again.sign_in(address)

    assert (400, {}) == (refused.status_code, again.cookies)
    assert "none of your groups has rights here" in refused.text
    assert [] == await edge.ground.fetch("SELECT 1 FROM vault.sessions")


async def test_groups_that_the_provider_left_out_are_named(edge: Edge, browser: Browser) -> None:
    address = await person(edge, *(f"g{number}" for number in range(250)), "admins")

    refused = await browser.sign_in(address)

    assert 400 == refused.status_code
    assert "Your groups could not be read" in refused.text


@pytest.mark.parametrize(
    "values", [{"state": "A" * 43}, {"code": "stolen"}, {"iss": "https://evil.example"}, {"code": ""}]
)
async def test_a_changed_return_signs_nobody_in(edge: Edge, browser: Browser, values: dict[str, str]) -> None:
    back = await browser.agree(await browser.start(), await person(edge, "admins"))

    refused = await browser.get(changed(back, **values))

    assert (400, {}) == (refused.status_code, browser.cookies)
    assert [] == await edge.ground.fetch("SELECT 1 FROM vault.people")


async def test_another_browser_cannot_finish_a_sign_in(edge: Edge, browser: Browser) -> None:
    back = await browser.agree(await browser.start(), await person(edge, "admins"))
    other = Browser(edge)
    await other.start()

    refused = [await stranger.get(back) for stranger in (Browser(edge), other)]

    assert [400, 400] == [answer.status_code for answer in refused]
    assert 303 == (await browser.get(back)).status_code


async def test_a_code_is_good_once(edge: Edge, browser: Browser) -> None:
    back = await browser.agree(await browser.start(), await person(edge, "admins"))
    flow = dict(browser.cookies)
    assert 303 == (await browser.get(back)).status_code
    thief = Browser(edge)
    thief.cookies = flow

    refused = await thief.get(back)

    assert (400, {}) == (refused.status_code, thief.cookies)


async def test_a_revoked_key_ends_its_sessions_and_a_new_sign_in_makes_another(edge: Edge, browser: Browser) -> None:
    address = await person(edge, "support")
    await browser.sign_in(address)
    before = await key_of(browser)
    answer = await edge.call("POST", f"/v1/api-keys/{before['apiKeyId']}:revoke", edge.admin)
    assert answer.status_code == 200, answer.text
    again = Browser(edge)

    await again.sign_in(address)

    assert (await key_of(again))["apiKeyId"] != before["apiKeyId"]


async def test_a_persons_key_is_not_the_other_admin_key_that_an_installation_needs(
    edge: Edge, browser: Browser
) -> None:
    await browser.sign_in(await person(edge, "admins"))
    keys = (await edge.call("GET", "/v1/api-keys", edge.admin)).json()["apiKeys"]
    (first,) = [key for key in keys if key["displayName"] == "first"]

    refused = await edge.call("POST", f"/v1/api-keys/{first['apiKeyId']}:revoke", edge.admin)

    assert "LAST_ADMIN_KEY" in refused.text


async def test_the_console_learns_the_offer_without_a_key(edge: Edge) -> None:
    answer = await edge.http.get("/auth/oauth/sign-in-offer")

    assert {"isOffered": True, "name": "Example GmbH"} == answer.json()
    assert "no-store" in answer.headers["cache-control"]


async def test_a_person_signs_in_at_the_console_by_the_button(edge: Edge) -> None:
    require("node", "node_modules/playwright-core/cli.js", CHROMIUM)
    given = {"url": edge.url, "chromium": CHROMIUM, "offer": "Example GmbH", "person": await person(edge, "support")}

    steps = await asyncio.to_thread(walked, "signin.mjs", given)

    assert {} == {step["step"]: step["error"] for step in steps if step["error"]}
    assert 3 == len(steps)
