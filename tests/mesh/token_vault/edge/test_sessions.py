"""Browsers' sessions through the real edge: signing in and out, forged requests, fixation, and their ends."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.token_vault.api_access.sessions import SESSIONS_OF_KEY
from tests.mesh.token_vault.edge.conftest import Edge
from tests.programs.vault import eventually

pytestmark = pytest.mark.timeout(300)
NAME = "__Host-mailmesh-session"
OWN = {"sec-fetch-site": "same-origin"}


def cookie_of(answer: httpx.Response) -> str:
    """Return the value of the session's cookie that an answer sets."""
    return answer.headers["set-cookie"].partition(";")[0].removeprefix(f"{NAME}=")


def reason_of(answer: httpx.Response) -> str:
    return str(answer.json()["details"][0]["reason"])


async def sign_in(edge: Edge, key: str = "", **headers: str) -> str:
    authorized = {"authorization": f"Bearer {key or edge.admin}", **headers}
    answer = await edge.http.post("/v1/sessions", json={}, headers=authorized)
    assert answer.status_code == 200, answer.text
    return cookie_of(answer)


async def ask(
    edge: Edge, cookie: str, path: str = "/v1/tenants", method: str = "GET", **headers: str
) -> httpx.Response:
    sent = {"cookie": f"{NAME}={cookie}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await edge.http.request(method, path, headers=sent, json={} if method == "POST" else None)


async def own(edge: Edge, cookie: str, path: str = "/v1/tenants", method: str = "GET") -> httpx.Response:
    return await ask(edge, cookie, path, method, **OWN)


async def test_a_key_is_traded_for_a_cookie_that_scripts_and_other_sites_cannot_use(edge: Edge) -> None:
    answer = await edge.http.post("/v1/sessions", json={}, headers={"authorization": f"Bearer {edge.admin}"})

    value, *attributes = answer.headers["set-cookie"].split("; ")
    assert value.startswith(f"{NAME}=")
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=43200"} == set(attributes)
    assert edge.admin not in answer.text
    assert cookie_of(answer) not in answer.text
    assert (await own(edge, cookie_of(answer))).status_code == 200


async def test_the_secret_is_stored_as_a_digest(edge: Edge) -> None:
    secret = await sign_in(edge)

    (row,) = await edge.ground.fetch("SELECT s::text AS text, length(digest) AS bytes FROM vault.sessions s")
    assert secret not in row["text"]
    assert row["bytes"] == 32


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://attacker.example"},
        {"origin": "null"},
        {"sec-fetch-site": "same-origin", "origin": "https://attacker.example"},
        {"sec-fetch-site": "cross-site", "origin": "own"},
    ],
    ids=str,
)
async def test_a_request_that_no_own_page_sent_is_refused(edge: Edge, headers: dict[str, str]) -> None:
    cookie = await sign_in(edge)
    sent = {name: edge.url if value == "own" else value for name, value in headers.items()}

    for method, path in (("GET", "/v1/tenants"), ("POST", "/v1/sessions/current:end")):
        answer = await ask(edge, cookie, path, method, **sent)
        assert (403, "ORIGIN_NOT_PROVEN") == (answer.status_code, reason_of(answer))
    assert (await own(edge, cookie)).status_code == 200


async def test_the_own_origin_alone_suffices_for_browsers_without_fetch_metadata(edge: Edge) -> None:
    assert (await ask(edge, await sign_in(edge), origin=edge.url)).status_code == 200


async def test_a_session_does_not_reach_the_door_of_agents(edge: Edge) -> None:
    answer = await own(edge, await sign_in(edge), "/mcp", "POST")

    assert (401, "API_KEY_INVALID") == (answer.status_code, reason_of(answer))
    assert answer.headers["www-authenticate"].startswith("Bearer resource_metadata=")


async def test_a_forged_request_does_not_tell_whether_there_is_a_session(edge: Edge) -> None:
    answers = [await ask(edge, cookie, origin="https://attacker.example") for cookie in (await sign_in(edge), "x" * 43)]

    assert ["ORIGIN_NOT_PROVEN"] * 2 == [reason_of(answer) for answer in answers]


async def test_a_cookie_from_elsewhere_is_never_taken_over(edge: Edge) -> None:
    planted = "A" * 43
    made = await sign_in(edge, cookie=f"{NAME}={planted}")

    assert made != planted
    assert reason_of(await own(edge, planted)) == "SESSION_INVALID"


async def test_signing_in_again_ends_the_session_that_the_browser_had(edge: Edge) -> None:
    before = await sign_in(edge)
    after = await sign_in(edge, cookie=f"{NAME}={before}")

    assert (await own(edge, after)).status_code == 200
    assert reason_of(await own(edge, before)) == "SESSION_INVALID"


async def test_a_session_cannot_make_a_session(edge: Edge) -> None:
    answer = await own(edge, await sign_in(edge), "/v1/sessions", "POST")

    assert (403, "KEY_REQUIRED") == (answer.status_code, reason_of(answer))
    assert "set-cookie" not in answer.headers


async def test_signing_out_ends_this_session_and_no_other(edge: Edge) -> None:
    here, there = await sign_in(edge), await sign_in(edge)
    answer = await own(edge, here, "/v1/sessions/current:end", "POST")

    assert (200, {"ended": 1}) == (answer.status_code, answer.json())
    assert f"{NAME}=; Path=/; Max-Age=0" in answer.headers["set-cookie"]
    assert reason_of(await own(edge, here)) == "SESSION_INVALID"
    assert (await own(edge, there)).status_code == 200


async def test_signing_out_everywhere_ends_all_sessions_of_the_key_and_of_no_other(edge: Edge) -> None:
    _, other = await edge.key(role="ROLE_READER")
    here, there, others = await sign_in(edge), await sign_in(edge), await sign_in(edge, other)
    answer = await edge.http.post(
        "/v1/sessions/current:end", json={"everywhere": True}, headers={"cookie": f"{NAME}={here}", **OWN}
    )

    assert answer.json() == {"ended": 2}
    assert ["SESSION_INVALID"] * 2 == [reason_of(await own(edge, cookie)) for cookie in (here, there)]
    assert (await own(edge, others)).status_code == 200


async def test_a_session_has_the_rights_of_its_key_and_dies_with_it(edge: Edge) -> None:
    key_id, key = await edge.key(role="ROLE_READER")
    cookie = await sign_in(edge, key)

    described = (await own(edge, cookie, "/v1/sessions/current")).json()
    assert (key_id, 1800) == (described["apiKey"]["apiKeyId"], described["session"]["idleSeconds"])
    assert reason_of(await own(edge, cookie, "/v1/api-keys")) == "ROLE_TOO_LOW"
    await edge.call("POST", f"/v1/api-keys/{key_id}:revoke", edge.admin)

    async def is_dead() -> bool:
        answer = await own(edge, cookie)
        return answer.status_code == 401 and reason_of(answer) == "SESSION_INVALID"

    await eventually(is_dead)


async def test_a_session_ends_no_later_than_its_key(edge: Edge) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    _, key = await edge.key(role="ROLE_READER", expiresAt=end.isoformat())

    described = (await own(edge, await sign_in(edge, key), "/v1/sessions/current")).json()

    assert datetime.fromisoformat(described["session"]["expiresAt"]) == end


@pytest.mark.parametrize(
    "change",
    ["last_used_at = now() - interval '31 minutes'", "expires_at = now() - interval '1 second'"],
    ids=["idle", "past its end"],
)
async def test_an_idle_session_and_an_old_one_end(edge: Edge, change: str) -> None:
    cookie = await sign_in(edge)
    await edge.ground.fetch(f"UPDATE vault.sessions SET {change}")  # noqa: S608 - our own statement

    answer = await own(edge, cookie)

    assert (401, "SESSION_INVALID") == (answer.status_code, reason_of(answer))


async def test_a_restore_ends_every_session_of_the_backup(edge: Edge) -> None:
    cookie = await sign_in(edge)

    done = [await edge.ground.run("restored") for _ in range(2)]

    assert [0, 0] == [code for code, _, _ in done], done
    answer = await own(edge, cookie)
    assert (401, "SESSION_INVALID") == (answer.status_code, reason_of(answer))
    (ended,) = await edge.ground.fetch("SELECT actor FROM vault.audit_entries WHERE action = 'session.end'")
    assert ended["actor"] == "command"


async def test_a_key_has_a_bounded_number_of_sessions(edge: Edge) -> None:
    _, key = await edge.key(role="ROLE_READER")
    authorized = {"authorization": f"Bearer {key}"}
    statuses: list[int] = []
    for _ in range(SESSIONS_OF_KEY // 10 + 1):
        at_once = (edge.http.post("/v1/sessions", json={}, headers=authorized) for _ in range(10))
        statuses += [answer.status_code for answer in await asyncio.gather(*at_once)]

    assert (SESSIONS_OF_KEY, 10) == (statuses.count(200), statuses.count(429))


async def test_a_key_takes_precedence_over_a_cookie(edge: Edge) -> None:
    answer = await ask(edge, "x" * 43, authorization=f"Bearer {edge.admin}")

    assert answer.status_code == 200


async def test_an_identity_from_outside_is_not_believed(edge: Edge) -> None:
    cookie = await sign_in(edge)
    session_id = (await own(edge, cookie, "/v1/sessions/current")).json()["session"]["sessionId"]
    forged = {"authorization": f"Bearer {edge.admin}", "x-mailmesh-session-id": session_id}

    answer = await edge.http.get("/v1/sessions/current", headers=forged)

    assert "session" not in answer.json()


async def test_the_audit_log_tells_of_signing_in_and_out(edge: Edge) -> None:
    cookie = await sign_in(edge)
    session_id = (await own(edge, cookie, "/v1/sessions/current")).json()["session"]["sessionId"]
    await own(edge, cookie, "/v1/sessions/current:end", "POST")

    entries: list[Any] = (await edge.call("GET", "/v1/audit?pageSize=50", edge.admin)).json()["auditEntries"]

    told = {entry["action"]: entry["detail"] for entry in entries if entry["action"].startswith("session.")}
    assert told == {"session.create": {"session_id": session_id}, "session.end": {"session_id": session_id}}


async def test_an_admin_lists_the_sessions_and_ends_one(edge: Edge) -> None:
    key_id, key = await edge.key(role="ROLE_READER", displayName="Kim")
    mine, theirs = await sign_in(edge), await sign_in(edge, key)
    listed = (await edge.call("GET", "/v1/sessions", edge.admin)).json()["sessions"]
    of_key = (await edge.call("GET", f"/v1/sessions?apiKeyId={key_id}", edge.admin)).json()["sessions"]

    ended = await edge.call("POST", f"/v1/sessions/{of_key[0]['sessionId']}:revoke", edge.admin)
    again = await edge.call("POST", f"/v1/sessions/{of_key[0]['sessionId']}:revoke", edge.admin)

    assert ["first", "Kim"] == [one["keyDisplayName"] for one in listed]
    assert [key_id] == [one["apiKeyId"] for one in of_key]
    assert of_key[0]["sessionId"] == ended.json()["session"]["sessionId"]
    assert (404, "SESSION_NOT_FOUND") == (again.status_code, reason_of(again))
    assert reason_of(await own(edge, theirs)) == "SESSION_INVALID"
    assert (await own(edge, mine)).status_code == 200
    noted = await edge.ground.fetch(
        "SELECT detail->>'session_id' AS id FROM vault.audit_entries WHERE action = 'session.end'"
    )
    assert [of_key[0]["sessionId"]] == [row["id"] for row in noted]


async def test_an_admin_with_limits_neither_sees_nor_ends_a_wider_session(edge: Edge) -> None:
    await sign_in(edge)
    key_id, limited = await edge.key(role="ROLE_ADMIN")
    await edge.ground.fetch(
        "UPDATE vault.api_keys SET tenant_ids = ARRAY[gen_random_uuid()] WHERE api_key_id = $1", key_id
    )
    session = (await edge.call("GET", "/v1/sessions", edge.admin)).json()["sessions"][0]["sessionId"]

    listed = await edge.call("GET", "/v1/sessions", limited)
    refused = await edge.call("POST", f"/v1/sessions/{session}:revoke", limited)

    assert {"sessions": [], "nextPageToken": ""} == listed.json()
    assert (404, "SESSION_NOT_FOUND") == (refused.status_code, reason_of(refused))


async def test_sessions_are_listed_page_by_page_and_only_while_they_live(edge: Edge) -> None:
    for _ in range(3):
        await sign_in(edge)
    oldest = "SELECT session_id FROM vault.sessions ORDER BY created_at LIMIT 1"
    await edge.ground.fetch(f"UPDATE vault.sessions SET expires_at = now() WHERE session_id = ({oldest})")  # noqa: S608
    first = (await edge.call("GET", "/v1/sessions?pageSize=1", edge.admin)).json()
    second = (await edge.call("GET", f"/v1/sessions?pageSize=1&pageToken={first['nextPageToken']}", edge.admin)).json()

    assert [1, 1] == [len(page["sessions"]) for page in (first, second)]
    assert first["sessions"] != second["sessions"]
    assert "" == second["nextPageToken"]
