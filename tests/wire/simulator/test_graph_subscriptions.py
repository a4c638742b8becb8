"""Graph's subscriptions and notifications."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.wire.simulator.conftest import Provider, Receiver


def wanted(receiver: Receiver, **changes: Any) -> dict[str, Any]:
    expires = (datetime.now(UTC) + timedelta(days=6)).isoformat()
    return {
        "changeType": "created,updated,deleted",
        "resource": "me/mailFolders('inbox')/messages",
        "notificationUrl": f"{receiver.url}/hook?subscription=7",
        "lifecycleNotificationUrl": f"{receiver.url}/life?subscription=7",
        "expirationDateTime": expires,
        "clientState": "a-secret",
        **changes,
    }


async def subscribe(graph: Provider, receiver: Receiver, status: int = 201, **changes: Any) -> dict[str, Any]:
    headers = {"prefer": 'IdType="ImmutableId"'}
    answer = await graph.call("POST", "/subscriptions", json=wanted(receiver, **changes), headers=headers)
    assert status == answer.status_code, answer.text
    return answer.json()


async def test_creating_validates_both_urls_before_it_answers(graph, receiver):
    made = await subscribe(graph, receiver)
    assert 2 == len(receiver.validations)
    assert any("+/=&%" in token for token in receiver.validations)
    assert (made["clientState"], made["resource"]) == ("a-secret", "me/mailFolders('inbox')/messages")


async def test_a_url_that_does_not_echo_gets_no_subscription(graph, receiver):
    refused = await subscribe(graph, receiver, status=400, notificationUrl="http://127.0.0.1:9/nobody")
    assert "ValidationError" == refused["error"]["code"]
    assert [] == (await graph.get("/subscriptions"))["value"]


@pytest.mark.parametrize(
    "change",
    [
        {"clientState": "x" * 129},
        {"notificationUrl": "http://example.test/hook"},
        {"expirationDateTime": "2020-01-01T00:00:00Z"},
        {"expirationDateTime": "2099-01-01T00:00:00Z"},
        {"changeType": "moved"},
        {"resource": "me/contacts"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_what_graph_refuses_is_refused(graph, receiver, change):
    await subscribe(graph, receiver, status=400, **change)


async def test_a_short_life_is_raised_to_45_minutes_without_a_word(graph, receiver):
    soon = datetime.now(UTC) + timedelta(minutes=1)
    made = await subscribe(graph, receiver, expirationDateTime=soon.isoformat())
    assert datetime.fromisoformat(made["expirationDateTime"][:26] + "+00:00") > soon + timedelta(minutes=40)


async def test_the_same_subscription_again_conflicts(graph, receiver):
    await subscribe(graph, receiver)
    await subscribe(graph, receiver, status=409)
    await subscribe(graph, receiver, resource=f"users/{graph.facts['id']}/messages")


async def test_renewing_extends_and_deleting_ends(graph, receiver, control):
    made = await subscribe(graph, receiver)
    later = (datetime.now(UTC) + timedelta(days=6, hours=20)).isoformat()
    renewed = await graph.call("PATCH", f"/subscriptions/{made['id']}", json={"expirationDateTime": later})
    assert (200, True) == (renewed.status_code, renewed.json()["expirationDateTime"] > made["expirationDateTime"])
    assert 204 == (await graph.call("POST", f"/subscriptions/{made['id']}/reauthorize")).status_code
    assert 204 == (await graph.call("DELETE", f"/subscriptions/{made['id']}")).status_code
    assert 404 == (await graph.call("PATCH", f"/subscriptions/{made['id']}", json={})).status_code


async def test_a_subscription_expires_by_the_clock(graph, receiver, control):
    made = await subscribe(graph, receiver)
    await control.advance_clock(6.5 * 86400)
    graph.tokens = await control.issue_tokens(graph.account)
    assert 404 == (await graph.call("GET", f"/subscriptions/{made['id']}")).status_code


async def test_a_new_mail_is_announced_with_everything_a_receiver_checks(graph, receiver, control):
    made = await subscribe(graph, receiver)
    mail = await control.deliver(graph.account, subject="Hello", text="Hi")
    await receiver.wait_for(1)
    (item,) = receiver.items()
    assert (made["id"], "a-secret", "created", graph.facts["directory"]) == (
        item["subscriptionId"],
        item["clientState"],
        item["changeType"],
        item["tenantId"],
    )
    assert (mail["id"], mail["etag"]) == (item["resourceData"]["id"], item["resourceData"]["@odata.etag"])
    assert item["resource"].endswith((mail["id"], f"('{mail['id']}')"))
    assert {"subscription": "7"} == receiver.posts[0].query


async def test_a_move_out_of_the_folder_is_told_as_deleted_and_into_it_as_created(graph, receiver, control):
    await subscribe(graph, receiver)
    await control.set(push_concurrency=1, notification_batch_max=1)
    mail = await control.deliver(graph.account, subject="Hello")
    await control.update(graph.account, mail["id"], isRead=True)
    await control.move(graph.account, mail["id"], "archive")
    await control.move(graph.account, mail["id"], "inbox")
    await control.delete(graph.account, mail["id"])
    await receiver.wait_for(5)
    told = [(item["changeType"], item["resourceData"]["id"]) for item in receiver.items()]
    assert [(kind, mail["id"]) for kind in ("created", "updated", "deleted", "created", "deleted")] == told


async def test_default_ids_change_on_a_move_and_immutable_ones_do_not(graph, receiver, control):
    answer = await graph.call("POST", "/subscriptions", json=wanted(receiver, resource="me/messages"))
    assert 201 == answer.status_code
    mail = await control.deliver(graph.account, subject="Hello")
    await control.move(graph.account, mail["id"], "archive")
    assert await control.wait_until_pushed(50)
    ids = {item["changeType"]: item["resourceData"]["id"] for item in receiver.items()}
    assert mail["defaultId"] == ids["deleted"] != ids["created"]


async def test_a_receiver_in_trouble_hears_it_again(graph, receiver, control):
    await subscribe(graph, receiver)
    await control.set(push_retry_first_seconds=0.05)
    answers = iter((503, 500, 202))

    async def stumble() -> int:
        return next(answers, 202)

    receiver.answer = stumble
    await control.deliver(graph.account, subject="Hello")
    await receiver.wait_for(3)
    assert await control.wait_until_pushed()
    assert 1 == len({item["id"] for item in receiver.items()})


async def test_a_slow_receiver_is_given_up_and_tried_again(graph, receiver, control):
    await subscribe(graph, receiver)
    await control.set(push_timeout_seconds=0.2, push_retry_first_seconds=0.05)
    turns = iter((True, False))

    async def slowly() -> int:
        await asyncio.sleep(1.0 if next(turns, False) else 0)
        return 202

    receiver.answer = slowly
    await control.deliver(graph.account, subject="Hello")
    await receiver.wait_for(2)


async def test_items_for_one_url_share_a_post(graph, receiver, control):
    await subscribe(graph, receiver)
    await control.set(push_concurrency=1, notification_batch_wait_seconds=0.2)
    await control.generate(graph.account, 20)
    assert await control.wait_until_pushed(50)
    assert (20, 1) == (len(receiver.items()), len(receiver.posts))


@pytest.mark.parametrize(("kind", "copies"), [("drop", 0), ("double", 2), ("late", 1), ("reorder", 1)])
async def test_faults_drop_double_and_delay_notifications(graph, receiver, control, kind, copies):
    await subscribe(graph, receiver)
    await control.add_fault(kind, endpoint="notify.graph", account=graph.account, seconds=0.2, count=1)
    await control.deliver(graph.account, subject="Hello")
    assert await control.wait_until_pushed()
    assert copies == len(receiver.items())


async def test_lifecycle_notifications_come_on_request(graph, receiver, control):
    made = await subscribe(graph, receiver)
    for event in ("reauthorizationRequired", "missed", "subscriptionRemoved"):
        await control.send_lifecycle(made["id"], event)
    assert await control.wait_until_pushed(50)
    told = [item["lifecycleEvent"] for item in receiver.items()]
    assert {"reauthorizationRequired", "missed", "subscriptionRemoved"} == set(told)
    assert all("resourceData" not in item and "changeType" not in item for item in receiver.items())
    assert 404 == (await graph.call("GET", f"/subscriptions/{made['id']}")).status_code


async def test_a_silenced_subscription_lives_and_says_nothing(graph, receiver, control):
    made = await subscribe(graph, receiver)
    await control.silence_subscription(made["id"])
    await control.deliver(graph.account, subject="Unheard")
    assert await control.wait_until_pushed(50)
    assert [] == receiver.posts
    assert 200 == (await graph.call("GET", f"/subscriptions/{made['id']}")).status_code


async def test_another_account_neither_sees_nor_subscribes(graph, receiver, control, simulator):
    made = await subscribe(graph, receiver)
    other = Provider("", {}, await control.issue_tokens("anna@contoso.test"), graph.client, graph.base, graph.check)
    assert 404 == (await other.call("GET", f"/subscriptions/{made['id']}")).status_code
    await subscribe(other, receiver, status=403, resource=f"users/{graph.facts['id']}/messages")


async def test_a_calendar_is_subscribed_to_and_its_events_notify(graph, receiver, control, simulator):
    scopes = "openid Calendars.Read Calendars.Read.Shared"
    graph.tokens = await control.issue_tokens(graph.account, scopes=scopes)
    main = (await control.calendars(graph.account))[0]
    team = await control.add_calendar(graph.account, "Team")
    shared = await control.add_calendar(graph.account, "Boss", owner="boss@contoso.test")
    user = graph.facts["id"]
    made = await subscribe(graph, receiver, resource=f"users/{user}/calendars/{team['id']}/events")
    await subscribe(graph, receiver, resource=f"users/{user}/events")
    times = {"start": "2026-11-30T14:00:00", "end": "2026-11-30T15:00:00"}
    event = await control.create_event(graph.account, team["id"], subject="One", **times)
    await control.update_event(graph.account, team["id"], event["id"], subject="Two")
    await control.delete_event(graph.account, team["id"], event["id"])
    await control.create_event(graph.account, main["id"], subject="Elsewhere", **times)
    await control.create_event(graph.account, shared["id"], subject="Unheard", **times)
    while len(receiver.items()) < 4:
        await receiver.wait_for(len(receiver.posts) + 1)

    mine = [item for item in receiver.items() if item["subscriptionId"] == made["id"]]
    assert ["created", "deleted", "updated"] == sorted(item["changeType"] for item in mine)
    assert {event["id"]} == {item["resourceData"]["id"] for item in mine}
    assert {"#Microsoft.Graph.Event"} == {item["resourceData"]["@odata.type"] for item in mine}
    await subscribe(graph, receiver, 409, resource=f"users/{user}/events")
    await subscribe(graph, receiver, 403, resource=f"users/{user}/calendars/{shared['id']}/events")
    await subscribe(graph, receiver, 404, resource=f"users/{user}/calendars/nothing/events")
    await subscribe(graph, receiver, 400, resource=f"users/{user}/calendars")
    await subscribe(graph, receiver, 403, resource="me/messages")
    await control.set(graph_calendar_subscriptions="default")
    await subscribe(graph, receiver, 400, resource=f"users/{user}/calendars/{team['id']}/events", changeType="created")
