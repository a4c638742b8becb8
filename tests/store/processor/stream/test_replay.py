"""Replays on a real PostgreSQL."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from mailmesh.calendar.v1.event_pb2 import NormalizedCalendarEvent
from mailmesh.processor.v1 import event_pb2
from mailmesh.processor.v1 import processor_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.errors import FieldInvalid, Overloaded
from services.meshkit.identity.caller import Caller, Role
from services.meshkit.shares import Shares
from services.processor.stream import replay
from services.processor.stream.errors import ReplayQuotaReached, RequestIdReused
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EARLIEST, EventReader
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.replay import Replaying
from services.providers.abilities import CALENDAR_READ, MAIL_READ
from tests.store.processor.stream.conftest import OTHER_TENANT, TENANT, mail_draft

OPERATOR = Caller("envoy", "key-1", Role.OPERATOR)
FULL = event_pb2.EVENT_VIEW_FULL


@pytest.fixture
def reader(pool: db.Pool) -> EventReader:
    return EventReader(pool)


@pytest.fixture
def replays(pool: db.Pool, reader: EventReader) -> Replaying:
    return Replaying(pool, reader, Shares("replays", 8, 4), 4 * 1024**3)


async def _publish(pool: db.Pool, *drafts: Any) -> list[str]:
    async with db.connection(pool) as connection, connection.transaction():
        return [event.event_id for event in await publish(connection, drafts)]


async def _read(reader: EventReader, selection: Selection, start: str = "") -> list[Any]:
    cursor = await reader.start(start, EARLIEST)
    return [event.mail for event in (await reader.page(cursor, selection, FULL, 1000)).events]


async def test_a_replay_appends_marked_copies_for_readers_that_request_them(
    pool: db.Pool, reader: EventReader, replays: Replaying
) -> None:
    published = await _publish(pool, *(mail_draft() for _ in range(3)))
    answer = await replays.replay(pb2.ReplayEventsRequest(), OPERATOR)
    copies = await _read(reader, Selection(None, include_replays=True, replay_id=answer.replay_id))
    originals = await _read(reader, Selection(None))

    assert (3, 3) == (answer.matched, answer.appended)
    assert published == [event.event_id for event in originals] == [copy.original_event_id for copy in copies]
    assert all(copy.is_replay and copy.replay_id == answer.replay_id for copy in copies)
    assert not set(published) & {copy.event_id for copy in copies}
    for original, copy in zip(originals, copies, strict=True):
        for field in ("event_id", "position", "is_replay", "replay_id", "original_event_id"):
            original.ClearField(field)
            copy.ClearField(field)
        assert original == copy


async def test_the_start_cursor_reads_the_replay_and_later_events(
    pool: db.Pool, reader: EventReader, replays: Replaying
) -> None:
    await _publish(pool, mail_draft())
    answer = await replays.replay(pb2.ReplayEventsRequest(), OPERATOR)
    (later,) = await _publish(pool, mail_draft())

    found = await _read(reader, Selection(None, include_replays=True), answer.start_cursor)
    assert [True, False] == [event.is_replay for event in found]
    assert later == found[1].event_id


async def test_a_replay_is_not_replayed(pool: db.Pool, replays: Replaying) -> None:
    await _publish(pool, mail_draft())
    await replays.replay(pb2.ReplayEventsRequest(), OPERATOR)

    assert 1 == (await replays.replay(pb2.ReplayEventsRequest(), OPERATOR)).appended


async def test_a_dry_run_only_counts(pool: db.Pool, replays: Replaying) -> None:
    await _publish(pool, mail_draft(), mail_draft())
    answer = await replays.replay(pb2.ReplayEventsRequest(dry_run=True), OPERATOR)

    assert pb2.ReplayEventsResponse(matched=2) == answer
    assert 2 == await pool.fetchval("SELECT count(*) FROM processor.events")


async def test_a_range_is_bounded_by_cursors_times_and_filter(
    pool: db.Pool, reader: EventReader, replays: Replaying
) -> None:
    await _publish(pool, *(mail_draft() for _ in range(4)), mail_draft(provider="googlews"))
    positions = [event.position for event in await _read(reader, Selection(None))]
    ranged = pb2.ReplayEventsRequest(from_cursor=positions[0], to_cursor=positions[2], dry_run=True)
    timed, filtered = pb2.ReplayEventsRequest(dry_run=True), pb2.ReplayEventsRequest(dry_run=True)
    timed.received_from.GetCurrentTime()
    filtered.filter.providers.append("googlews")

    assert 2 == (await replays.replay(ranged, OPERATOR)).matched
    assert 0 == (await replays.replay(timed, OPERATOR)).matched
    assert 1 == (await replays.replay(filtered, OPERATOR)).matched


async def test_a_key_replays_no_event_that_it_may_not_read(pool: db.Pool, replays: Replaying) -> None:
    event = NormalizedCalendarEvent(provider="ms365", tenant_id=TENANT, event_type="calendar.connected")
    event.received_at.GetCurrentTime()
    await _publish(pool, mail_draft(), EventDraft(calendar_event=event, change_id="calendar:1"))
    able = replace(OPERATOR, abilities=frozenset({MAIL_READ, CALENDAR_READ}))
    counts = [
        (await replays.replay(pb2.ReplayEventsRequest(dry_run=True), caller)).matched for caller in (OPERATOR, able)
    ]

    assert [1, 2] == counts


async def test_a_key_replays_only_its_tenants(pool: db.Pool, replays: Replaying) -> None:
    await _publish(pool, mail_draft(), mail_draft(tenant_id=OTHER_TENANT))
    narrow = Caller("envoy", "key-2", Role.OPERATOR, frozenset({TENANT}))

    assert 1 == (await replays.replay(pb2.ReplayEventsRequest(), narrow)).appended


async def test_the_same_request_makes_one_replay(pool: db.Pool, replays: Replaying) -> None:
    await _publish(pool, *(mail_draft() for _ in range(5)))
    request = pb2.ReplayEventsRequest(request_id=str(uuid4()))
    answers = await asyncio.gather(*(replays.replay(request, OPERATOR) for _ in range(4)))

    assert 1 == len({answer.SerializeToString() for answer in answers})
    assert 10 == await pool.fetchval("SELECT count(*) FROM processor.events")


async def test_a_request_that_was_cut_off_is_finished_by_the_same_request(
    pool: db.Pool, replays: Replaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_BATCH_EVENTS", 2)
    await _publish(pool, *(mail_draft() for _ in range(5)))
    request = pb2.ReplayEventsRequest(request_id=str(uuid4()))
    first = asyncio.create_task(replays.replay(request, OPERATOR))
    async with asyncio.timeout(40):
        while await pool.fetchval("SELECT count(*) FROM processor.events") < 7:
            await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    answer = await replays.replay(request, OPERATOR)

    assert (5, 5) == (answer.matched, answer.appended)
    assert 10 == await pool.fetchval("SELECT count(*) FROM processor.events")


async def test_the_same_request_id_with_other_content_is_refused(replays: Replaying) -> None:
    request_id = str(uuid4())
    await replays.replay(pb2.ReplayEventsRequest(request_id=request_id), OPERATOR)
    other = pb2.ReplayEventsRequest(request_id=request_id)
    other.filter.providers.append("ms365")

    with pytest.raises(RequestIdReused):
        await replays.replay(other, OPERATOR)


async def test_too_many_events_are_refused_and_nothing_is_appended(
    pool: db.Pool, replays: Replaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "MAX_EVENTS", 2)
    await _publish(pool, *(mail_draft() for _ in range(3)))

    with pytest.raises(FieldInvalid):
        await replays.replay(pb2.ReplayEventsRequest(), OPERATOR)
    assert 3 == await pool.fetchval("SELECT count(*) FROM processor.events")


async def test_one_key_cannot_take_the_replays_of_another(pool: db.Pool) -> None:
    running = Shares("replays", 8, 1)
    reader = EventReader(pool)
    with running.take(OPERATOR.key_id):
        with pytest.raises(Overloaded) as refused:
            await Replaying(pool, reader, running, 4 * 1024**3).replay(pb2.ReplayEventsRequest(), OPERATOR)
        other = replace(OPERATOR, key_id="key-2")
        answer = await Replaying(pool, reader, running, 4 * 1024**3).replay(pb2.ReplayEventsRequest(), other)

    assert {"bound": "replays_of_one"} == refused.value.metadata
    assert answer.replay_id


async def test_a_key_replays_so_many_bytes_in_a_day(pool: db.Pool, reader: EventReader) -> None:
    await _publish(pool, *(mail_draft() for _ in range(3)))
    replaying = Replaying(pool, reader, Shares("replays", 8, 8), 3 * 65536 + 32768)
    first = pb2.ReplayEventsRequest(request_id=str(uuid4()))
    calls = [replaying.replay(request, OPERATOR) for request in (first, *[pb2.ReplayEventsRequest()] * 5)]
    ended = await asyncio.gather(*calls, return_exceptions=True)
    dry = await replaying.replay(pb2.ReplayEventsRequest(dry_run=True), OPERATOR)
    others = await replaying.replay(pb2.ReplayEventsRequest(), replace(OPERATOR, key_id="key-2"))
    await pool.execute("UPDATE processor.replays SET created_at = now() - interval '25 hours' WHERE key_id = 'key-1'")
    later = await replaying.replay(pb2.ReplayEventsRequest(), OPERATOR)

    assert 3 == sum(isinstance(one, pb2.ReplayEventsResponse) for one in ended)
    assert 3 == sum(isinstance(one, ReplayQuotaReached) for one in ended)
    assert (3, 3, 3) == (dry.matched, others.appended, later.appended)


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00Z", "0001-01-01T00:59:59Z", "9999-12-31T23:59:59.999999999Z"])
async def test_the_first_and_the_last_time_of_the_calendar_bound_a_replay(
    pool: db.Pool, replays: Replaying, when: str
) -> None:
    await _publish(pool, mail_draft())
    request = pb2.ReplayEventsRequest(dry_run=True)
    request.received_from.FromJsonString(when)

    assert (1 if when < "1" else 0) == (await replays.replay(request, OPERATOR)).matched
