"""Streams over real gRPC: they follow, resume, send heartbeats, and end with a position from which to resume."""

import asyncio
import random
import resource
from typing import Any

import grpc
import pytest

from mailmesh.processor.v1 import event_pb2
from mailmesh.processor.v1 import event_service_pb2 as pb2
from services.meshkit.metrics import UNEXPECTED
from services.meshkit.status import from_rpc_error
from services.processor.stream import key_checks
from services.processor.stream.metrics import STREAM_ENDS, STREAMS
from tests.store.processor.stream.conftest import OTHER_TENANT, TENANT, mail_draft, tenant_draft
from tests.wire.processor.stream.conftest import Processor, Start, until

pytestmark = pytest.mark.timeout(300)
WAIT_SECONDS = 60


async def next_event(call: Any) -> Any:
    """Return the next event of a stream; heartbeats are skipped."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            step = await call.read()
            assert step is not grpc.aio.EOF
            if step.WhichOneof("step") == "event":
                return step.event


async def end_of(call: Any) -> Any:
    """Return the reason why a stream ended."""
    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            while await call.read() is not grpc.aio.EOF:
                pass
    return from_rpc_error(ended.value)


async def test_a_stream_sends_stored_events_and_then_new_ones(processor: Processor) -> None:
    first = await processor.publish(mail_draft(), tenant_draft("1"))
    call = processor.events.StreamEvents(pb2.StreamEventsRequest(cursor="earliest"), metadata=processor.key())
    seen = [await next_event(call) for _ in first]
    (later,) = await processor.publish(mail_draft())

    assert first == [seen[0].mail.event_id, seen[1].tenant.event_id]
    assert later == (await next_event(call)).mail.event_id


async def test_a_stream_begins_at_latest_by_default(processor: Processor) -> None:
    await processor.publish(mail_draft())
    call = processor.events.StreamEvents(pb2.StreamEventsRequest(heartbeat_seconds=1), metadata=processor.key())
    heartbeat = await asyncio.wait_for(call.read(), WAIT_SECONDS)
    (later,) = await processor.publish(mail_draft())

    assert heartbeat.WhichOneof("step") == "heartbeat"
    assert later == (await next_event(call)).mail.event_id


async def test_a_heartbeat_moves_the_position_past_excluded_events(processor: Processor) -> None:
    request = pb2.StreamEventsRequest(cursor="earliest", heartbeat_seconds=1)
    request.filter.providers.append("googlews")
    call = processor.events.StreamEvents(request, metadata=processor.key())
    first = (await asyncio.wait_for(call.read(), WAIT_SECONDS)).heartbeat.position
    await processor.publish(mail_draft())
    async with asyncio.timeout(WAIT_SECONDS):
        while (moved := (await call.read()).heartbeat.position) == first:
            pass
    again = pb2.ListEventsRequest(cursor=moved)

    assert not (await processor.events.ListEvents(again, metadata=processor.key())).events


async def test_a_stream_shows_only_the_tenants_of_its_key(processor: Processor) -> None:
    request = pb2.StreamEventsRequest(cursor="earliest")
    call = processor.events.StreamEvents(request, metadata=processor.key(OTHER_TENANT))
    await processor.publish(mail_draft(tenant_id=TENANT))
    (own,) = await processor.publish(mail_draft(tenant_id=OTHER_TENANT))

    assert own == (await next_event(call)).mail.event_id


async def test_a_stream_ends_with_a_position_when_the_server_stops(processor: Processor) -> None:
    await processor.publish(mail_draft())
    call = processor.events.StreamEvents(pb2.StreamEventsRequest(cursor="earliest"), metadata=processor.key())
    last = await next_event(call)
    stopping = asyncio.create_task(processor.stop())
    ended = await end_of(call)
    await stopping

    assert ("SHUTTING_DOWN", last.position) == (ended.reason, ended.metadata["position"])


async def test_a_stream_is_cut_when_its_key_is_revoked(processor: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_checks, "CHECK_SECONDS", 0.0)
    call = processor.events.StreamEvents(pb2.StreamEventsRequest(heartbeat_seconds=1), metadata=processor.key())
    await call.read()
    processor.vault.revoked.add("key-1")
    ended = await end_of(call)

    assert "KEY_REVOKED" == ended.reason
    assert ended.metadata["position"]


async def test_streams_of_one_key_ask_about_it_once(processor: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    request = pb2.StreamEventsRequest(heartbeat_seconds=1)
    calls = [processor.events.StreamEvents(request, metadata=processor.key()) for _ in range(5)]
    await asyncio.gather(*(call.read() for call in calls))
    # The cached answer about the key is too old for all of them until one has asked.
    processor.vault.on_ask = lambda: monkeypatch.setattr(key_checks, "CHECK_SECONDS", 3600.0)
    monkeypatch.setattr(key_checks, "CHECK_SECONDS", 0.0)
    await until(lambda: len(processor.vault.asked) > 0)
    for _ in range(2):
        await asyncio.gather(*(call.read() for call in calls))

    assert 1 == len(processor.vault.asked)


async def test_streams_over_the_bound_are_refused(start_processor: Start) -> None:
    processor = await start_processor(streams=1)
    request = pb2.StreamEventsRequest(heartbeat_seconds=1)
    first = processor.events.StreamEvents(request, metadata=processor.key())
    await first.read()
    refused = await end_of(processor.events.StreamEvents(request, metadata=processor.key()))

    assert ("OVERLOADED", "streams") == (refused.reason, refused.metadata["bound"])
    assert refused.retry_after is not None


async def test_one_key_cannot_take_the_streams_of_another(start_processor: Start) -> None:
    processor = await start_processor(streams=3, streams_per_key=2)
    request = pb2.StreamEventsRequest(heartbeat_seconds=1)
    greedy = [processor.events.StreamEvents(request, metadata=processor.key()) for _ in range(2)]
    for stream in greedy:
        await stream.read()
    refused = await end_of(processor.events.StreamEvents(request, metadata=processor.key()))
    other = processor.events.StreamEvents(request, metadata=processor.key(key_id="key-2"))

    assert ("OVERLOADED", "streams_of_one") == (refused.reason, refused.metadata["bound"])
    assert (await other.read()).HasField("heartbeat")


async def test_a_reader_that_stops_reading_is_ended_and_delays_no_other(start_processor: Start) -> None:
    slow_ends = STREAM_ENDS.labels("READER_TOO_SLOW")
    ends_before = slow_ends._value.get()
    processor = await start_processor(slow_reader_seconds=3)
    request = pb2.StreamEventsRequest(cursor="earliest", heartbeat_seconds=1)
    request.view = event_pb2.EVENT_VIEW_FULL
    slow = processor.events.StreamEvents(request, metadata=processor.key())
    await slow.read()  # an empty heartbeat: the stream is open
    drafts = []
    for _ in range(40):
        drafts.append(mail_draft())
        assert drafts[-1].mail is not None
        drafts[-1].mail.message.body.text = random.randbytes(200_000).hex()[:250_000]
    await processor.publish(*drafts)
    quick = processor.events.StreamEvents(request, metadata=processor.key())
    for _ in drafts:
        await next_event(quick)
    await until(lambda: slow_ends._value.get() > ends_before)
    ended = await end_of(slow)

    assert "READER_TOO_SLOW" == ended.reason
    rest = pb2.ListEventsRequest(cursor=ended.metadata["position"], page_size=100)
    assert (await processor.events.ListEvents(rest, metadata=processor.key())).events


async def test_a_reader_that_hangs_up_while_it_is_written_to_is_no_accident(processor: Processor) -> None:
    request = pb2.StreamEventsRequest(cursor="earliest", view=event_pb2.EVENT_VIEW_FULL)
    drafts = [mail_draft() for _ in range(20)]
    for draft in drafts:
        assert draft.mail is not None
        draft.mail.message.body.text = "text " * 50_000
    open_before, accidents_before = STREAMS._value.get(), _accidents()
    stuck, quick = (processor.events.StreamEvents(request, metadata=processor.key()) for _ in range(2))
    await until(lambda: STREAMS._value.get() == open_before + 2)
    await processor.publish(*drafts)
    for _ in drafts:
        await next_event(quick)

    stuck.cancel()
    await until(lambda: STREAMS._value.get() == open_before + 1)

    assert accidents_before == _accidents()


def _accidents() -> float:
    return sum(sample.value for metric in UNEXPECTED.collect() for sample in metric.samples if "total" in sample.name)


async def test_idle_streams_and_readers_that_do_not_read_cost_others_nothing(start_processor: Start) -> None:
    """Other calls keep their deadlines, and memory its bound, beside 500 streams without events and 50 such readers."""
    processor, idle, stuck, mails = await start_processor(), 500, 50, 40
    request = pb2.StreamEventsRequest(cursor="earliest", view=event_pb2.EVENT_VIEW_FULL)
    nothing = pb2.StreamEventsRequest(filter={"tenant_ids": [OTHER_TENANT]}, heartbeat_seconds=60)
    drafts = [mail_draft() for _ in range(mails)]
    for draft in drafts:
        assert draft.mail is not None
        draft.mail.message.body.text = "text " * 50_000
    unread_bytes = stuck * mails * 250_000
    open_before, peak_before = STREAMS._value.get(), _peak_bytes()
    held = [
        processor.events.StreamEvents(nothing, metadata=processor.key(key_id=f"key-{number % 5}"))
        for number in range(idle)
    ]
    held += [processor.events.StreamEvents(request, metadata=processor.key(key_id="stuck")) for _ in range(stuck)]
    await until(lambda: STREAMS._value.get() == open_before + idle + stuck, seconds=150)
    await processor.publish(*drafts)

    quick = processor.events.StreamEvents(request, metadata=processor.key(key_id="quick"), timeout=WAIT_SECONDS)
    received = [(await next_event(quick)).mail.event_id for _ in drafts]
    page = pb2.ListEventsRequest(page_size=10)
    answers = [await processor.events.ListEvents(page, metadata=processor.key(), timeout=10) for _ in range(50)]
    open_now, peak = STREAMS._value.get(), _peak_bytes()

    assert mails == len(set(received))
    assert [10] * 50 == [len(answer.events) for answer in answers]
    assert open_before + idle + stuck + 1 == open_now
    assert peak - peak_before < unread_bytes // 2


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def test_a_consumer_that_disconnects_at_random_misses_nothing(processor: Processor) -> None:
    """A consumer keeps the position of the last event that it has processed, and reconnects from there."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)
    published: list[str] = []
    batches = [number % 4 + 1 for number in range(40)]

    async def write() -> None:
        for size in batches:
            published.extend(await processor.publish(*(mail_draft() for _ in range(size))))

    writing = asyncio.create_task(write())
    seen: list[str] = []
    position = "earliest"
    async with asyncio.timeout(WAIT_SECONDS):
        while len(seen) < sum(batches):
            call = processor.events.StreamEvents(pb2.StreamEventsRequest(cursor=position), metadata=processor.key())
            for _ in range(min(chance.randint(1, 12), sum(batches) - len(seen))):
                event = await next_event(call)
                seen.append(event.mail.event_id)
                position = event.position
            call.cancel()
    await writing

    assert published == seen


async def test_events_go_on_after_the_database_connections_were_cut(processor: Processor) -> None:
    call = processor.events.StreamEvents(pb2.StreamEventsRequest(cursor="earliest"), metadata=processor.key())
    (first,) = await processor.publish(mail_draft())
    assert first == (await next_event(call)).mail.event_id
    # The test waits for each to end: a stream that is only about to end would receive the next statement too.
    listeners = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    await processor.pool.fetchval(f"{listeners} AND datname = current_database()")
    again = processor.events.StreamEvents(pb2.StreamEventsRequest(cursor="earliest"), metadata=processor.key())
    await next_event(again)
    (second,) = await processor.publish(mail_draft())

    assert second == (await next_event(again)).mail.event_id


async def test_a_stream_over_a_restored_store_ends_and_does_not_go_on(processor: Processor) -> None:
    """The events that the reader has read are deleted, and new ones arrive: the stream must not continue silently."""
    await processor.publish(mail_draft(), mail_draft())
    call = processor.events.StreamEvents(pb2.StreamEventsRequest(cursor="earliest"), metadata=processor.key())
    await next_event(call)
    await next_event(call)
    async with processor.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "DELETE FROM processor.events WHERE position = (SELECT max(head) FROM processor.stream)"
        )
        await connection.execute(
            "UPDATE processor.stream SET head = last.position, head_event_id = last.event_id FROM"
            " (SELECT position, event_id FROM processor.events ORDER BY position DESC LIMIT 1) AS last WHERE id = 1"
        )
    await processor.publish(mail_draft())

    assert "CURSOR_EPOCH_CHANGED" == (await end_of(call)).reason


@pytest.mark.parametrize("heartbeat_seconds", [-1, 61])
async def test_a_heartbeat_out_of_range_is_refused(processor: Processor, heartbeat_seconds: int) -> None:
    request = pb2.StreamEventsRequest(heartbeat_seconds=heartbeat_seconds)

    assert "FIELD_INVALID" == (await end_of(processor.events.StreamEvents(request, metadata=processor.key()))).reason
