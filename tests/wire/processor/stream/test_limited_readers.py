"""A key that is limited to tenants learns nothing of the others' activity from the stream: real gRPC and PostgreSQL."""

import asyncio
import time
from typing import Any

import grpc
import pytest

from mailmesh.processor.v1 import event_service_pb2 as pb2
from mailmesh.processor.v1 import processor_service_pb2
from services.meshkit.status import from_rpc_error
from services.processor.stream.cursor import Cursor, read_cursor
from services.processor.stream.cursor_seal import is_sealed
from tests.store.processor.stream.conftest import OTHER_TENANT, TENANT, mail_draft
from tests.wire.processor.stream.conftest import Processor
from tests.wire.processor.stream.test_streams import end_of

WAIT_SECONDS = 60


async def listed(processor: Processor, cursor: str, tenants: str = TENANT) -> Any:
    return await processor.events.ListEvents(pb2.ListEventsRequest(cursor=cursor), metadata=processor.key(tenants))


async def test_pages_look_the_same_whether_others_are_busy_or_not(processor: Processor) -> None:
    (own,) = await processor.publish(mail_draft())
    idle = [await listed(processor, "earliest") for _ in range(3)]
    await processor.publish(*(mail_draft(tenant_id=OTHER_TENANT) for _ in range(60)))
    busy = [await listed(processor, "earliest") for _ in range(3)]
    cursors = [page.next_cursor for page in (*idle, *busy)]

    assert [([own], False)] * 6 == [
        ([event.mail.event_id for event in page.events], page.has_more) for page in (*idle, *busy)
    ]
    assert (6, [True] * 6) == (len(set(cursors)), [is_sealed(cursor) for cursor in cursors])
    # The event's own cursor is no news to its reader.
    assert not is_sealed(idle[0].events[0].position)


async def test_each_cursor_of_a_limited_reader_goes_on_where_it_was(processor: Processor) -> None:
    await processor.publish(mail_draft())
    await processor.publish(mail_draft(tenant_id=OTHER_TENANT))
    page = await listed(processor, "earliest")
    (later,) = await processor.publish(mail_draft())
    (others,) = await processor.publish(mail_draft(tenant_id=OTHER_TENANT))

    assert [later] == [event.mail.event_id for event in (await listed(processor, page.next_cursor)).events]
    # A key of all tenants may go on from it, and a limited one from a cursor in the clear.
    whole = await listed(processor, page.next_cursor, "*")
    assert [later, others] == [event.mail.event_id for event in whole.events]
    assert not is_sealed(whole.next_cursor)
    assert [] == list((await listed(processor, whole.next_cursor)).events)


async def test_heartbeats_hide_the_events_of_others_and_come_in_their_own_time(processor: Processor) -> None:
    request = pb2.StreamEventsRequest(cursor="latest", heartbeat_seconds=4)
    call = processor.events.StreamEvents(request, metadata=processor.key(TENANT))
    positions, gaps = [], []
    async with asyncio.timeout(WAIT_SECONDS):
        positions.append((await call.read()).heartbeat.position)
        for _ in range(2):
            begun = time.monotonic()
            await asyncio.sleep(1.2)
            await processor.publish(mail_draft(tenant_id=OTHER_TENANT))
            positions.append((await call.read()).heartbeat.position)
            gaps.append(time.monotonic() - begun)

    assert all(is_sealed(position) for position in positions)
    # Two seconds after the last one; the event of another begins no new silence, which would end after 3.2.
    assert all(1.5 < gap < 2.9 for gap in gaps), gaps
    assert [] == list((await listed(processor, positions[-1])).events)


async def test_the_end_of_a_stream_hides_how_far_others_are(processor: Processor) -> None:
    call = processor.events.StreamEvents(pb2.StreamEventsRequest(heartbeat_seconds=1), metadata=processor.key(TENANT))
    await call.read()
    await processor.publish(mail_draft(tenant_id=OTHER_TENANT))
    stopping = asyncio.create_task(processor.stop())
    ended = await end_of(call)
    await stopping

    assert ("SHUTTING_DOWN", True) == (ended.reason, is_sealed(ended.metadata["position"]))


async def test_replays_and_the_pipeline_name_no_place_of_others(processor: Processor) -> None:
    await processor.publish(mail_draft())
    await processor.publish(mail_draft(tenant_id=OTHER_TENANT))
    replay = await processor.operations.ReplayEvents(
        processor_service_pb2.ReplayEventsRequest(from_cursor="earliest"), metadata=processor.key(TENANT)
    )
    status = await processor.operations.GetPipelineStatus(
        processor_service_pb2.GetPipelineStatusRequest(), metadata=processor.key(TENANT)
    )
    request = pb2.ListEventsRequest(cursor=replay.start_cursor, filter={"replay_id": replay.replay_id})
    page = await processor.events.ListEvents(request, metadata=processor.key(TENANT))

    assert [True, True] == [is_sealed(replay.start_cursor), is_sealed(status.oldest_position)]
    assert 1 == len(page.events)


async def test_a_guess_at_the_place_of_another_event_is_answered_like_any_wrong_one(processor: Processor) -> None:
    await processor.publish(mail_draft(), mail_draft(tenant_id=OTHER_TENANT), mail_draft())
    whole = [read_cursor(event.position) for event in (await listed(processor, "earliest", "*")).events]
    answers = set()
    for position in (whole[1].position, whole[1].position + 1):
        guess = Cursor(whole[0].epoch, position, b"guess!").write()
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await listed(processor, guess)
        answers.add((from_rpc_error(failed.value).reason, failed.value.details()))

    assert ["CURSOR_EPOCH_CHANGED"] == [reason for reason, _ in answers]
