"""Pushes about calendars are kept once, or dropped without a hint to the sender."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from mailmesh.ingest.v1 import ingest_service_pb2 as ingest_pb2
from services.meshkit.errors import Unavailable
from services.meshkit.ids import new_id
from tests.factories.ingest import Watched, add_watched, graph_body, graph_item, lifecycle_item
from tests.wire.ingest.pushing import claim_all, push_graph, push_lifecycle
from tests.wire.ingest.webhooks.test_receiving import counted, items_of

CALENDAR = 2
LIST = 3


@dataclass(frozen=True)
class Opened:
    """A channel on a followed calendar."""

    watched: Watched
    calendar_id: str
    channel_id: str
    token: str


async def about_calendar(database: asyncpg.Connection, watched: Watched, resource: int = CALENDAR) -> str:
    """Makes a subscription one to a calendar, and returns the calendar's id; empty for the list of calendars."""
    calendar_id = new_id() if resource == CALENDAR else None
    await database.execute(
        "UPDATE ingest.subscriptions SET resource = $2, calendar_id = $3, watched = 'calendar:' || subscription_id"
        " WHERE subscription_id = $1",
        watched.subscription_id,
        resource,
        calendar_id,
    )
    return calendar_id or ""


async def open_channel(
    database: asyncpg.Connection, resource: int = CALENDAR, state: str = "active", status: str = "active"
) -> Opened:
    """Adds a channel whose opening is not answered yet."""
    watched = await add_watched(database, "googlews", state, status)
    calendar_id, channel_id, token = await about_calendar(database, watched, resource), new_id(), f"canary-{new_id()}"
    await database.execute(
        "INSERT INTO ingest.channels (tenant_id, channel_id, subscription_id, token_digest, expires_at)"
        " VALUES ($1, $2, $3, $4, $5)",
        watched.tenant_id,
        channel_id,
        watched.subscription_id,
        hashlib.sha256(token.encode()).digest(),
        datetime.now(UTC) + timedelta(days=7),
    )
    return Opened(watched, calendar_id, channel_id, token)


async def push(clients: Any, opened: Opened, number: int = 2, *more: tuple[str, str], **changes: str | None) -> str:
    """Pushes as a channel does, with changed or missing headers, and returns the edge's HTTP status."""
    headers = {
        "x-goog-channel-id": opened.channel_id,
        "x-goog-channel-token": opened.token,
        "x-goog-resource-id": "resource-1",
        "x-goog-resource-uri": "https://www.googleapis.com/calendar/v3/calendars/x/events?alt=json",
        "x-goog-resource-state": "exists",
        "x-goog-message-number": str(number),
    }
    headers |= {f"x-goog-{name.replace('_', '-')}": value for name, value in changes.items()}  # type: ignore[misc]
    kept = tuple((name, value) for name, value in headers.items() if value is not None)
    call = clients.webhooks.ReceiveCalendarPush(ingest_pb2.ReceiveCalendarPushRequest(), metadata=(*kept, *more))
    answer = await call
    assert b"" == answer.payload.data
    return str(dict(await call.initial_metadata())["x-http-status"])


async def changed(clients: Any) -> list[tuple[str, str]]:
    """Claims all items and returns their tenants and calendars."""
    found = await claim_all(clients)
    assert {"calendar_changed"} >= {item.WhichOneof("content") for item in found}
    return sorted((item.tenant_id, item.calendar_changed.calendar_id) for item in found)


async def test_each_push_of_a_channel_is_kept_once(clients: Any, database: asyncpg.Connection) -> None:
    opened, of_list = await open_channel(database), await open_channel(database, LIST)

    assert ["204"] * 4 == [await push(clients, opened, number) for number in (2, 5, 5, 2)]
    assert "204" == await push(clients, opened, 9, resource_state="not_exists")
    assert "204" == await push(clients, of_list)

    tenant = opened.watched.tenant_id
    assert sorted([(tenant, opened.calendar_id)] * 3 + [(of_list.watched.tenant_id, "")]) == await changed(clients)


async def test_a_sync_before_the_answer_brings_the_resource_and_no_item(
    clients: Any, database: asyncpg.Connection
) -> None:
    opened = await open_channel(database, state="pending")

    assert "204" == await push(clients, opened, 1, resource_state="sync")

    assert 0 == await items_of(database)
    row = await database.fetchrow("SELECT resource_id FROM ingest.channels WHERE channel_id = $1", opened.channel_id)
    assert "resource-1" == row["resource_id"]
    assert "204" == await push(clients, opened, 2, resource_id="resource-2")
    row = await database.fetchrow("SELECT resource_id FROM ingest.channels WHERE channel_id = $1", opened.channel_id)
    assert "resource-1" == row["resource_id"]


async def test_forged_and_incomplete_pushes_get_the_same_answer_and_have_no_effect(
    clients: Any, database: asyncpg.Connection
) -> None:
    opened, other = await open_channel(database), await open_channel(database)
    forged = counted("googlews", "unknown_or_forged")

    assert ["204"] * 3 == [
        await push(clients, opened, channel_token="wrong"),
        await push(clients, opened, channel_token=other.token),
        await push(clients, opened, channel_id=new_id()),
    ]
    assert forged + 3 == counted("googlews", "unknown_or_forged")
    for header in ("channel_id", "channel_token", "resource_state", "message_number"):
        assert "204" == await push(clients, opened, **{header: None})
    assert "204" == await push(clients, opened, 2, ("x-goog-channel-token", opened.token))
    assert "204" == await push(clients, opened, channel_id="../../etc/passwd")
    assert "204" == await push(clients, opened, channel_id=opened.channel_id.upper())
    assert 0 == await items_of(database)
    assert "204" == await push(clients, opened)
    assert 1 == await items_of(database)


@pytest.mark.parametrize(("state", "status"), [("deleted", "active"), ("polling", "active"), ("active", "disabled")])
async def test_pushes_that_nobody_waits_for_are_dropped(
    clients: Any, database: asyncpg.Connection, state: str, status: str
) -> None:
    opened = await open_channel(database, state=state, status=status)

    assert "204" == await push(clients, opened)

    assert 0 == await items_of(database)


async def test_a_flood_of_unknown_channels_keeps_nothing(clients: Any, database: asyncpg.Connection) -> None:
    opened = await open_channel(database)

    answers = {await push(clients, opened, channel_id=new_id()) for _ in range(200)}

    assert {"204"} == answers
    assert 0 == await items_of(database)
    assert 0 == await database.fetchval("SELECT count(*) FROM ingest.item_keys")


async def test_a_push_that_cannot_be_committed_is_retried_by_google(clients: Any, database: asyncpg.Connection) -> None:
    opened = await open_channel(database)
    async with database.transaction():
        await database.execute("LOCK TABLE ingest.item_keys IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unavailable):  # the edge makes it 503
            await push(clients, opened)

    assert "204" == await push(clients, opened)
    assert [(opened.watched.tenant_id, opened.calendar_id)] == await changed(clients)


def event_item(watched: Watched, event: str, **more: Any) -> dict[str, Any]:
    """A notification of Graph about an event."""
    data = {"@odata.type": "#Microsoft.Graph.Event", "id": event, "@odata.etag": f'W/"{event}"'}
    return graph_item(watched, event, resource=f"Users/u/Events/{event}", resourceData=data) | more


async def test_a_post_of_graph_about_many_events_reads_the_calendar_once(
    clients: Any, database: asyncpg.Connection
) -> None:
    watched = await add_watched(database)
    calendar_id = await about_calendar(database, watched)
    body = graph_body(*(event_item(watched, f"AAMkEv{number}") for number in range(20)))

    assert ["202", "202"] == [await push_graph(clients, body), await push_graph(clients, body)]

    assert [(watched.tenant_id, calendar_id)] == await changed(clients)


async def test_a_notification_about_another_resource_than_the_subscriptions_is_dropped(
    clients: Any, database: asyncpg.Connection
) -> None:
    of_mail, of_calendar = await add_watched(database), await add_watched(database)
    await about_calendar(database, of_calendar)
    before = counted("ms365", "other_resource")
    forged = event_item(of_calendar, "AAMkEv", clientState="wrong")

    body = graph_body(event_item(of_mail, "AAMkEv"), graph_item(of_calendar, "AAMkMail"), forged)
    assert "202" == await push_graph(clients, body)

    assert 0 == await items_of(database)
    assert before + 2 == counted("ms365", "other_resource")


async def test_missed_notifications_of_a_calendar_read_the_calendar(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database)
    calendar_id = await about_calendar(database, watched)

    assert "202" == await push_lifecycle(clients, graph_body(lifecycle_item(watched, "missed")))

    for _ in range(200):
        if found := await changed(clients):
            break
    assert [(watched.tenant_id, calendar_id)] == found
