"""Trouble on demand, the log of calls, and the clock."""

import asyncio
import time

import httpx
import pytest

from simulator.control_client import ControlRefusedError

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
