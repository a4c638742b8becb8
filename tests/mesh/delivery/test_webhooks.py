"""Webhooks on the running mesh: mail arrives at a simulated provider, and a real receiver gets its events."""

import json
from typing import Any

import httpx
import pytest

from tests.mesh.accounts import all_events, connect, created_events, new_address, subscribe
from tests.mesh.delivery.receiver import OK, Answer, Receiver, receiving, verified
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(400)


def connected(mesh: Mesh) -> tuple[str, str]:
    """Connects an account and subscribes to it; returns its address and its tenant."""
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    subscribe(mesh, tenant)
    return address, tenant


def endpoint(mesh: Mesh, receiver: Receiver, *more: str) -> tuple[str, str]:
    """Creates an endpoint by the command line; returns its id and its signing key."""
    done = mesh.run("endpoints", "create", receiver.url, "--event-type", "mail.*", "--json", *more)
    made = json.loads(done.stdout)
    return made["endpoint"]["endpointId"], made["signingKey"]


def shown(mesh: Mesh, endpoint_id: str) -> dict[str, Any]:
    """Reads an endpoint over REST."""
    found: dict[str, Any] = _call(mesh, "GET", f"/v1/endpoints/{endpoint_id}")["endpoint"]
    return found


def test_each_event_arrives_once_in_order_although_the_receiver_refuses_one_twice(mesh: Mesh) -> None:
    address, tenant = connected(mesh)
    with receiving() as receiver:
        refused: set[str] = set()

        def refuse_the_first_message(content: dict[str, Any], earlier: int) -> Answer:
            message = content["data"]["messageId"]
            if not refused:
                refused.add(message)
            return (500, {}) if message in refused and earlier < 2 else OK

        receiver.answer = refuse_the_first_message
        endpoint_id, key = endpoint(mesh, receiver, "--tenant", tenant)
        mesh.simulator.generate(address, 5)
        created = eventually(lambda: found if len(found := created_events(mesh, tenant)) == 5 else [])
        eventually(lambda: len(receiver.accepted) >= len(all_events(mesh, tenant)))

        assert all(verified(webhook, key) for webhook in receiver.webhooks)
        events = all_events(mesh, tenant)
        accepted = [webhook.webhook_id for webhook in receiver.accepted]
        assert sorted(event.mail.event_id for event in events) == sorted(accepted)
        assert 2 == sum(webhook.status == 500 for webhook in receiver.webhooks)
        thin = receiver.accepted[0].content
        assert {"type", "timestamp", "data"} == thin.keys()
        assert not {"message", "raw"} & thin["data"].keys()
        assert {"href", "messageId", "tenantId", "eventId"} <= thin["data"].keys()
        listed = _call(mesh, "GET", f"/v1/endpoints/{endpoint_id}/attempts")["attempts"]
        failed = [one for one in listed if one["outcome"] == "ATTEMPT_OUTCOME_FAILED"]
        assert {("HTTP_STATUS", 500, "ok")} == {(one["reason"], one["status"], one["answer"]) for one in failed}
    assert 5 == len({event.mail.message_id for event in created})


def test_nothing_is_lost_while_the_receiver_is_away_and_delivery_is_killed(mesh: Mesh) -> None:
    address, tenant = connected(mesh)
    with receiving() as receiver:
        endpoint_id, key = endpoint(mesh, receiver, "--tenant", tenant, "--view", "full", "--signature", "v1a")
        mesh.simulator.generate(address, 3)
        eventually(lambda: len(receiver.accepted) >= 3)
        receiver.end()
        mesh.simulator.generate(address, 12)
        eventually(lambda: len(created_events(mesh, tenant)) == 15)
        eventually(lambda: shown(mesh, endpoint_id)["state"] == "ENDPOINT_STATE_FAILING")
        mesh.kill("delivery")
        receiver.begin()
        wanted = {event.mail.event_id for event in all_events(mesh, tenant)}
        eventually(lambda: wanted <= {webhook.webhook_id for webhook in receiver.accepted})

        eventually(lambda: shown(mesh, endpoint_id)["state"] == "ENDPOINT_STATE_ACTIVE")
        assert verified(receiver.accepted[-1], key)
        assert key.startswith("whpk_")
        assert all(webhook.content["data"]["message"]["subject"] for webhook in receiver.accepted)
        seen = [(webhook.content["data"]["messageId"], webhook.webhook_id) for webhook in receiver.accepted]
        assert in_order_per_message(
            seen, [(one.mail.message_id, one.mail.event_id) for one in all_events(mesh, tenant)]
        )


def test_a_receiver_that_answers_gone_is_resumed_from_its_position(mesh: Mesh) -> None:
    address, tenant = connected(mesh)
    with receiving() as receiver:
        receiver.answer = lambda _content, _earlier: (410, {})
        endpoint_id, _ = endpoint(mesh, receiver, "--tenant", tenant)
        mesh.simulator.generate(address, 1)
        eventually(lambda: shown(mesh, endpoint_id)["state"] == "ENDPOINT_STATE_GONE")
        mesh.simulator.generate(address, 2)
        eventually(lambda: len(created_events(mesh, tenant)) == 3)
        receiver.answer = lambda _content, _earlier: OK
        assert not receiver.accepted
        assert "active" in mesh.run("endpoints", "resume", endpoint_id).stdout
        wanted = {event.mail.event_id for event in all_events(mesh, tenant)}
        eventually(lambda: wanted == {webhook.webhook_id for webhook in receiver.accepted})


def test_a_slow_receiver_holds_back_no_other(mesh: Mesh) -> None:
    address, tenant = connected(mesh)
    with receiving() as slow, receiving() as quick:
        for receiver in (slow, quick):
            endpoint(mesh, receiver, "--tenant", tenant)
        slow.answer = lambda _content, _earlier: (503, {"retry-after": "3600"})
        mesh.simulator.generate(address, 4)
        eventually(lambda: len(quick.accepted) >= 4)

        assert not slow.accepted


def test_the_command_line_pauses_tests_updates_and_deletes(mesh: Mesh) -> None:
    with receiving() as receiver:
        endpoint_id, key = endpoint(mesh, receiver, "--header", "X-Team: support")
        tested = mesh.run("endpoints", "test", endpoint_id)
        assert tested.returncode == 0, tested.stderr
        assert verified(receiver.webhooks[0], key)
        assert ("support", "endpoint.test") == (
            receiver.webhooks[0].headers["x-team"],
            receiver.webhooks[0].content["type"],
        )
        rotated = json.loads(mesh.run("endpoints", "rotate-key", endpoint_id, "--json").stdout)["signingKey"]
        assert mesh.run("endpoints", "test", endpoint_id).returncode == 0
        assert rotated != key
        assert all(verified(receiver.webhooks[1], one) for one in (key, rotated))
        assert "0" in mesh.run("endpoints", "recover", endpoint_id, "--dry-run").stdout
        assert "paused" in mesh.run("endpoints", "pause", endpoint_id).stdout
        updated = json.loads(mesh.run("endpoints", "update", endpoint_id, "--name", "Desk", "--json").stdout)
        assert ("Desk", ["x-team"]) == (updated["displayName"], updated["headerNames"])
        assert key not in json.dumps(updated)
        listed = json.loads(mesh.run("endpoints", "list", "--url", receiver.url, "--json").stdout)
        assert [endpoint_id] == [one["endpointId"] for one in listed]
        assert mesh.run("endpoints", "delete", endpoint_id, "--yes").returncode == 0
        assert "ENDPOINT_NOT_FOUND" in mesh.run("endpoints", "get", endpoint_id).stderr


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/x", "ftp://example.com/", "https://user@example.com/", "https://169.254.169.254/latest", "x"],
)
def test_an_address_of_the_inside_is_refused(mesh: Mesh, url: str) -> None:
    refused = _call(mesh, "POST", "/v1/endpoints", {"url": url})

    assert "FIELD_INVALID" == refused["details"][0]["reason"]


def in_order_per_message(seen: list[tuple[str, str]], told: list[tuple[str, str]]) -> bool:
    """Return whether the first arrivals of each message's events have the order of the stream."""
    first = dict.fromkeys(seen)
    return all(
        [pair for pair in first if pair[0] == message] == [pair for pair in told if pair[0] == message]
        for message in {message for message, _ in told}
    )


def _call(mesh: Mesh, verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {mesh.key}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=60, trust_env=False) as client:
        found: dict[str, Any] = client.request(verb, path, json=body).json()
        return found
