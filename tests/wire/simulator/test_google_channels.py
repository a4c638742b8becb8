"""Google Calendar's channels in the simulator: opened with a first push, replaced, stopped, lost, refused."""

from typing import Any

import pytest

from services.providers.abilities import CALENDAR_READ, least_scopes
from tests.wire.simulator.conftest import Receiver
from tests.wire.simulator.google_schema import document
from tests.wire.simulator.test_google_calendars import AUTH, TIMES

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def google(gmail: Any, control: Any, simulator: Any) -> Any:
    """The account with a token for its calendars."""
    scopes = f"openid {AUTH}calendar.calendarlist.readonly {AUTH}calendar.events.readonly"
    gmail.tokens = await control.issue_tokens(gmail.account, scopes=scopes)
    gmail.base = f"{simulator.google}/calendar/v3"
    return gmail


def local(google: Any) -> str:
    """Return a part of channels' ids that is the account's own."""
    return str(google.account.partition("@")[0])


def wanted(receiver: Receiver, channel: str, **changes: Any) -> dict[str, Any]:
    return {"id": channel, "type": "web_hook", "address": f"{receiver.url}/push", "token": "a-secret", **changes}


async def watch(google: Any, receiver: Receiver, channel: str, status: int = 200, **changes: Any) -> dict[str, Any]:
    path = changes.pop("path", f"/calendars/{google.account}/events/watch")
    answer = await google.call("POST", path, json=wanted(receiver, channel, **changes))
    assert status == answer.status_code, answer.text
    return dict(answer.json())


def seen(receiver: Receiver) -> list[tuple[str, str, int]]:
    """Return the channel, state and number of each push so far."""
    names = ("X-Goog-Channel-ID", "X-Goog-Resource-State", "X-Goog-Message-Number")
    return [(*(post.headers[name] for name in names[:2]), int(post.headers[names[2]])) for post in receiver.posts]


async def test_a_channel_pushes_headers_alone_and_its_first_push_reports_no_change(google, control, receiver):
    made = await watch(google, receiver, f"one-{local(google)}", params={"ttl": "3600"})
    await receiver.wait_for(1)
    for number in range(3):
        await control.create_event(google.account, google.account, summary=f"Event {number}", **TIMES)
    await receiver.wait_for(4)

    assert ("api#channel", "a-secret") == (made["kind"], made["token"])
    pushed = sorted(seen(receiver), key=lambda one: one[2])
    assert ["sync", "exists", "exists", "exists"] == [state for _, state, _ in pushed]
    numbers = [number for _, _, number in pushed]
    assert 1 == numbers[0]
    assert numbers != list(range(1, 5)), "numbers have gaps"
    headers = receiver.posts[0].headers
    assert ("a-secret", made["resourceId"], "0") == (
        headers["X-Goog-Channel-Token"], headers["X-Goog-Resource-ID"], headers["Content-Length"]
    )  # fmt: skip


async def test_two_channels_overlap_until_the_first_is_stopped(google, control, receiver):
    first = await watch(google, receiver, f"old-{local(google)}")
    second = await watch(google, receiver, f"new-{local(google)}")
    await receiver.wait_for(2)
    await control.create_event(google.account, google.account, summary="Twice", **TIMES)
    await receiver.wait_for(4)
    wrong = {"id": first["id"], "resourceId": "another"}
    assert 404 == (await google.call("POST", "/channels/stop", json=wrong)).status_code
    stop = {"id": first["id"], "resourceId": first["resourceId"]}
    assert 204 == (await google.call("POST", "/channels/stop", json=stop)).status_code
    assert 404 == (await google.call("POST", "/channels/stop", json=stop)).status_code
    await control.create_event(google.account, google.account, summary="Once", **TIMES)
    await receiver.wait_for(5)

    assert await control.wait_until_pushed()
    assert {first["id"]: 2, second["id"]: 3} == {
        one: [channel for channel, _, _ in seen(receiver)].count(one) for one in (first["id"], second["id"])
    }


async def test_what_cannot_be_watched_is_refused(google, control, receiver):
    holidays = await control.add_calendar(google.account, "Holidays", pushes=False)
    await watch(google, receiver, f"taken-{local(google)}")

    async def refused(channel: str, **changes: Any) -> str:
        answer = await watch(google, receiver, channel, changes.pop("status", 400), **changes)
        return str(answer["error"]["errors"][0]["reason"])

    never = f"/calendars/{holidays['id']}/events/watch"
    assert "pushNotSupportedForRequestedResource" == await refused("a", path=never)
    assert "channelIdNotUnique" == await refused(f"taken-{local(google)}")
    assert "push.webhookUrlNotHttps" == await refused("b", address="http://edge.example/push")
    assert "channelUnknown" == await refused("c", type="email")
    assert "invalid" == await refused("d", token="x" * 257)
    assert "notFound" == await refused("e", path="/calendars/nothing/events/watch", status=404)


async def test_the_list_of_calendars_has_a_channel_of_its_own(google, control, receiver):
    await watch(google, receiver, f"list-{local(google)}", path="/users/me/calendarList/watch")
    await receiver.wait_for(1)
    await control.create_event(google.account, google.account, summary="Elsewhere", **TIMES)
    added = await control.add_calendar(google.account, "Team")
    await receiver.wait_for(2)
    await control.remove_calendar(google.account, added["id"])
    await receiver.wait_for(3)

    assert ["sync", "exists", "exists"] == [state for _, state, _ in seen(receiver)]


async def test_a_channel_ends_by_the_clock_is_silenced_and_loses_pushes(google, control, receiver):
    made = await watch(google, receiver, f"ends-{local(google)}")
    await receiver.wait_for(1)
    await control.add_fault(kind="drop", endpoint="notify.calendar", count=1, account=google.account)
    await control.create_event(google.account, google.account, summary="Lost", **TIMES)
    await control.silence_channel(made["id"])
    await control.create_event(google.account, google.account, summary="Silent", **TIMES)
    await control.silence_channel(made["id"], silent=False)
    await control.create_event(google.account, google.account, summary="Heard", **TIMES)
    await receiver.wait_for(2)
    await control.advance_clock(8 * 86400)
    await control.create_event(google.account, google.account, summary="Late", **TIMES)

    assert await control.wait_until_pushed()
    assert 2 == len(receiver.posts)
    assert [] == [one for one in await control.channels() if one["account"] == google.account]


async def test_a_push_is_repeated_after_a_503_and_lost_after_a_400(google, control, receiver):
    await control.set(push_retry_first_seconds=0.05)
    answers = iter([503, 204, 400])

    async def answer() -> int:
        return next(answers)

    receiver.answer = answer
    await watch(google, receiver, f"again-{local(google)}")
    await receiver.wait_for(2)
    await control.create_event(google.account, google.account, summary="Refused", **TIMES)
    await receiver.wait_for(3)

    assert await control.wait_until_pushed()
    assert ["sync", "sync", "exists"] == [state for _, state, _ in seen(receiver)]


def test_the_scopes_of_mailmesh_suffice_by_googles_document() -> None:
    resources = document("calendar.v3")["resources"]
    granted = set(least_scopes("googlews", [CALENDAR_READ]))
    for resource, method in (("events", "watch"), ("calendarList", "watch"), ("channels", "stop")):
        assert granted & set(resources[resource]["methods"][method]["scopes"]), (resource, method)
