"""Faults on demand, the log of calls, and the clock."""

import asyncio
import time

import httpx
import pytest

from simulator.control_requests import ControlRefusedError

FORM = {
    "client_id": "6731de76-14a6-49ae-97bc-6eba6914391e",
    "client_secret": "simulated-ms365-secret",
    "grant_type": "refresh_token",
}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "InvalidAuthenticationToken"),
        (429, "ApplicationThrottled"),
        (500, "generalException"),
        (503, "serviceNotAvailable"),
    ],
)
async def test_a_status_fault_answers_in_graphs_manner_so_often_as_told(graph, control, status, code):
    await control.add_fault(
        "status", endpoint="graph.messages.*", account=graph.account, status=status, retry_after=7, count=2
    )
    for _ in range(2):
        answer = await graph.call("GET", "/me/messages")
        assert (status, code, "7") == (
            answer.status_code,
            answer.json()["error"]["code"],
            answer.headers["retry-after"],
        )
    assert 200 == (await graph.call("GET", "/me/messages")).status_code


async def test_a_fault_strikes_only_its_account_and_endpoint(graph, gmail, control):
    await control.add_fault("status", endpoint="graph.messages.list", account=graph.account, status=503)
    await graph.get("/me/messages", 503)
    await graph.get("/me")
    await gmail.get("/messages")


async def test_gmails_faults_speak_gmails_language(gmail, control):
    await control.add_fault(
        "status", endpoint="gmail.*", account=gmail.account, status=403, code="userRateLimitExceeded"
    )
    refused = await gmail.get("/profile", 403)
    assert "userRateLimitExceeded" == refused["error"]["errors"][0]["reason"]


async def test_an_invalid_grant_can_be_ordered_for_one_account(graph, control, simulator):
    await control.add_fault("invalid_grant", account=graph.account, count=1)
    url = f"{simulator.microsoft}/organizations/oauth2/v2.0/token"
    form = {**FORM, "refresh_token": graph.tokens["refresh_token"]}
    refused = await graph.client.post(url, data=form)
    assert (400, "invalid_grant", [50173]) == (
        refused.status_code,
        refused.json()["error"],
        refused.json()["error_codes"],
    )
    assert 200 == (await graph.client.post(url, data=form)).status_code
    assert 2 == await control.call_count("ms.token", graph.account)


async def test_latency_makes_an_answer_late(graph, control):
    await control.add_fault("latency", account=graph.account, seconds=0.3, count=1)
    began = time.monotonic()
    await graph.get("/me")
    assert time.monotonic() - began >= 0.3


async def test_a_truncated_answer_breaks_off(graph, control):
    await control.add_fault("truncate", account=graph.account, count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await graph.call("GET", "/me")


async def test_a_closed_connection_gives_no_answer(graph, control):
    await control.add_fault("close", account=graph.account, count=1)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await graph.call("GET", "/me")


async def test_a_hanging_answer_never_comes(graph, control):
    await control.add_fault("hang", account=graph.account, seconds=30, count=1)
    with pytest.raises(httpx.ReadTimeout):
        await graph.call("GET", "/me", timeout=httpx.Timeout(20, read=0.3))


async def test_garbage_is_no_json(graph, control):
    await control.add_fault("garbage", account=graph.account, count=1)
    headers = {"authorization": f"Bearer {graph.tokens['access_token']}"}
    answer = await graph.client.get(f"{graph.base}/me", headers=headers)
    with pytest.raises(ValueError, match="Invalid"):
        answer.json()


async def test_a_fault_after_the_call_loses_only_the_answer(graph, control):
    await control.add_fault("status", endpoint="graph.messages.create", status=500, phase="after", count=1)
    assert 500 == (await graph.call("POST", "/me/messages", json={"subject": "Kept"})).status_code
    assert ["Kept"] == [mail["subject"] for mail in (await control.truth(graph.account))["messages"]]


async def test_skips_and_probabilities_follow_the_seed(graph, control):
    await control.add_fault("status", account=graph.account, skip=2, count=1)
    assert [200, 200, 500] == [(await graph.call("GET", "/me")).status_code for _ in range(3)]
    await control.add_fault("status", account=graph.account, probability=0.5)
    statuses = [(await graph.call("GET", "/me")).status_code for _ in range(40)]
    assert 8 < statuses.count(500) < 32


async def test_every_call_is_logged_and_counted(graph, control):
    await control.reset_calls()
    await graph.get("/me")
    await graph.get("/me/messages/nothing", 404)
    await graph.call("GET", "/nowhere")
    mine = await control.calls(account=graph.account)
    assert [("graph.users.get", 200), ("graph.messages.get", 404)] == [(one["endpoint"], one["status"]) for one in mine]
    assert 1 == await control.call_count("unknown")
    assert {"graph.users.get": 1, "graph.messages.get": 1, "unknown": 1} == (await control.call_counts())["byEndpoint"]


async def test_the_most_requests_at_once_are_remembered(graph, control):
    await control.set(latency_seconds=2)  # long enough for three handshakes
    await asyncio.gather(*(graph.get("/me/messages") for _ in range(3)))
    assert 3 == (await control.call_counts())["mostAtOnce"][graph.account]


async def test_nonsense_is_refused_by_the_control_api(control):
    for method, path, body in (
        ("PATCH", "/settings", {"no_such_setting": 1}),
        ("POST", "/faults", {"kind": "earthquake"}),
        ("POST", "/accounts", {"provider": "yahoo", "address": "a@b.test"}),
        ("GET", "/accounts/nobody@b.test/truth", None),
    ):
        with pytest.raises(ControlRefusedError) as refused:
            await control.request(method, path, body)
        assert refused.value.status in (400, 404)


async def test_broken_bodies_are_a_bad_request(graph, control):
    for body in (b"{", b"[]", b'"x"'):
        assert 400 == (await graph.call("POST", "/subscriptions", content=body)).status_code
        assert 400 == (await graph.call("POST", "/me/messages", content=body)).status_code


async def test_a_fault_strikes_one_message_and_can_be_ended_alone(graph, control):
    first, second = [(await control.deliver(graph.account, subject=name))["defaultId"] for name in ("One", "Two")]
    mine = await control.add_fault("status", account=graph.account, message=first, status=503)
    other = await control.add_fault("status", account="somebody.else@x.test", status=503)
    await graph.get(f"/me/messages/{first}", 503)
    await graph.get(f"/me/messages/{second}")
    await control.remove_fault(mine["id"])
    await graph.get(f"/me/messages/{first}")
    assert [other["id"]] == [rule["id"] for rule in await control.request("GET", "/faults")]


async def test_a_fault_strikes_a_page_or_only_stored_links(graph, gmail, control):
    await control.load_old(graph.account, 5)
    await control.load_old(gmail.account, 5)
    await control.add_fault("status", endpoint="*.list", page=2, status=503, count=2)
    page = await graph.get("/me/messages?$top=2")
    await graph.get(page["@odata.nextLink"], 503)
    token = (await gmail.get("/messages?maxResults=2"))["nextPageToken"]
    await gmail.get("/messages", 503, params={"maxResults": 2, "pageToken": token})
    third = await graph.get((await graph.get(page["@odata.nextLink"]))["@odata.nextLink"])
    assert 1 == len(third["value"])
    await control.add_fault("status", endpoint="graph.messages.delta", stored=True, status=410)
    first = await graph.get("/me/mailFolders/inbox/messages/delta")
    await graph.get(first["@odata.deltaLink"], 410)


async def test_a_google_error_says_when_to_retry(gmail, control):
    text = "User-rate limit exceeded.  Retry after {retry_at}"
    await control.add_fault("status", account=gmail.account, status=429, retry_after=60, text=text, count=1)
    error = (await gmail.get("/profile", 429))["error"]
    assert error["errors"][0]["message"].startswith("User-rate limit exceeded.  Retry after 20")


async def test_lists_and_history_lag_behind_the_mailbox(gmail, graph, control):
    for provider in (gmail, graph):
        await control.lag(provider.account, list_seconds=30, history_seconds=30)
    start = (await gmail.get("/profile"))["historyId"]
    mail = await control.deliver(gmail.account, subject="Hello")
    await control.deliver(graph.account, subject="Hello")
    await gmail.get(f"/messages/{mail['id']}")
    history = await gmail.get("/history", params={"startHistoryId": start})
    assert ({"historyId"}, True) == (set(history), history["historyId"] != start)
    assert "messages" not in await gmail.get("/messages?q=subject:hello")
    assert [] == (await graph.get("/me/messages"))["value"]
    await control.advance_clock(31)
    assert 1 == len((await gmail.get("/history", params={"startHistoryId": start}))["history"])
    assert 1 == len((await gmail.get("/messages?q=subject:hello"))["messages"])
    assert 1 == len((await graph.get("/me/messages"))["value"])


async def test_a_page_repeats_an_item_and_a_batch_lacks_an_answer(graph, control):
    await control.load_old(graph.account, 2)
    await control.add_fault("repeat_item", endpoint="graph.messages.delta", account=graph.account, count=1)
    ids = [one["id"] for one in (await graph.get("/me/mailFolders/inbox/messages/delta"))["value"]]
    assert (3, ids[0]) == (len(ids), ids[-1])
    await control.add_fault("missing_answer", endpoint="graph.batch", count=1)
    requests = [{"id": str(at), "method": "GET", "url": "/me"} for at in range(3)]
    assert 2 == len((await graph.call("POST", "/$batch", json={"requests": requests})).json()["responses"])


async def test_a_refresh_token_can_be_single_use(graph, control, simulator):
    await control.set(ms_single_use_refresh_tokens=True)
    url = f"{simulator.microsoft}/organizations/oauth2/v2.0/token"
    form = {**FORM, "refresh_token": graph.tokens["refresh_token"]}
    first = (await graph.client.post(url, data=form)).json()
    assert [54005] == (await graph.client.post(url, data=form)).json()["error_codes"]
    assert 200 == (await graph.client.post(url, data={**form, "refresh_token": first["refresh_token"]})).status_code


async def test_the_token_endpoint_answers_any_error_and_number(graph, control, simulator):
    code = "interaction_required:50076"
    await control.add_fault("status", endpoint="ms.token", account=graph.account, status=400, code=code, count=1)
    url = f"{simulator.microsoft}/organizations/oauth2/v2.0/token"
    refused = (await graph.client.post(url, data={**FORM, "refresh_token": graph.tokens["refresh_token"]})).json()
    assert ("interaction_required", [50076]) == (refused["error"], refused["error_codes"])


@pytest.mark.parametrize(("status", "code"), [(400, "admin_policy_enforced"), (503, "temporarily_unavailable")])
async def test_googles_token_endpoint_answers_any_error_and_status(gmail, control, simulator, status, code):
    await control.add_fault("status", endpoint="google.token", account=gmail.account, status=status, code=code, count=1)
    refresh = (await control.issue_tokens(gmail.account))["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    answer = await gmail.client.post(f"{simulator.google}/token", data=form)
    assert (status, code) == (answer.status_code, answer.json()["error"])


async def test_a_shared_mailbox_opens_for_its_delegates_with_the_shared_scopes(graph, control):
    shared = (await control.create_account("ms365", f"desk-{graph.account}"))["address"]
    await graph.get(f"/users/{shared}/messages", 403)
    await control.update_account(shared, delegates=[graph.account])
    await graph.get(f"/users/{shared}/messages", 403)
    graph.tokens = await control.issue_tokens(graph.account, scopes="User.Read Mail.Read Mail.Read.Shared")
    assert [] == (await graph.get(f"/users/{shared}/messages"))["value"]
    assert 403 == (await graph.call("POST", f"/users/{shared}/messages", json={"subject": "x"})).status_code


async def test_a_scheduled_mail_has_its_label(gmail, control):
    mail = await control.deliver(gmail.account, subject="Later", labels=["SCHEDULED"], isRead=True)
    assert ["SCHEDULED"] == (await gmail.get(f"/messages/{mail['id']}?format=minimal"))["labelIds"]
    assert "SCHEDULED" not in [one["id"] for one in (await gmail.get("/labels"))["labels"]]


@pytest.mark.parametrize("headers", [{"origin": "https://evil.test"}, {"origin": "null"}, {"host": "evil.test"}])
async def test_a_page_of_another_origin_reaches_neither_control_nor_providers(graph, control, headers):
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{control.url}/control/reset", headers=headers)
    assert (403, True) == (answer.status_code, "error" in answer.json())
    assert 403 == (await graph.client.get(f"{graph.base}/me", headers=headers)).status_code
