"""The other RPCs over real gRPC: pages, one event, replays, reconciliation, the pipeline's status, and permissions."""

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import grpc
import pytest

from mailmesh.ingest.v1 import inbox_item_pb2
from mailmesh.processor.v1 import event_service_pb2, processor_service_pb2
from mailmesh.processor.v1.event_service_pb2 import EventFilter
from services.meshkit.errors import InvalidArgument
from services.meshkit.status import from_rpc_error
from tests.store.processor.stream.conftest import OTHER_TENANT, TENANT, mail_draft
from tests.wire.processor.stream.conftest import Processor


async def reason_of(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return from_rpc_error(failed.value).reason


async def test_a_page_has_a_cursor_to_go_on_from(processor: Processor) -> None:
    published = await processor.publish(*(mail_draft() for _ in range(3)))
    first = await processor.events.ListEvents(
        event_service_pb2.ListEventsRequest(page_size=2), metadata=processor.key()
    )
    rest = await processor.events.ListEvents(
        event_service_pb2.ListEventsRequest(cursor=first.next_cursor), metadata=processor.key()
    )

    assert (published[:2], True) == ([event.mail.event_id for event in first.events], first.has_more)
    assert (published[2:], False) == ([event.mail.event_id for event in rest.events], rest.has_more)
    assert rest.next_cursor


async def test_a_time_takes_the_place_of_a_cursor(processor: Processor) -> None:
    published = await processor.publish(*(mail_draft() for _ in range(2)))
    between = await processor.pool.fetchval("SELECT clock_timestamp()")
    published += await processor.publish(*(mail_draft() for _ in range(2)))

    async def read(moment: datetime) -> list[str]:
        request = event_service_pb2.ListEventsRequest(cursor=moment.isoformat())
        return [
            event.mail.event_id
            for event in (await processor.events.ListEvents(request, metadata=processor.key())).events
        ]

    assert published[2:] == await read(between)
    assert published == await read(between - timedelta(days=100))
    assert [] == await read(between + timedelta(days=1))
    assert published == await read(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))))


@pytest.mark.parametrize("cursor", ["2026-02-30T00:00:00Z", "2026-11-28T21:00:00", "2026-11-28"])
async def test_a_mistyped_time_is_refused_with_the_form_of_a_time(processor: Processor, cursor: str) -> None:
    wrong = event_service_pb2.ListEventsRequest(cursor=cursor)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await processor.events.ListEvents(wrong, metadata=processor.key())
    fault = from_rpc_error(caught.value)

    assert isinstance(fault, InvalidArgument)
    assert ("CURSOR_INVALID", ["cursor"]) == (fault.reason, list(fault.violations))
    assert "such as 2026-11-28T21:00:00Z" in fault.violations["cursor"]


async def test_a_stream_begins_at_a_time(processor: Processor) -> None:
    await processor.publish(mail_draft())
    between = await processor.pool.fetchval("SELECT clock_timestamp()")
    later = await processor.publish(mail_draft())
    request = event_service_pb2.StreamEventsRequest(cursor=between.isoformat())
    stream = processor.events.StreamEvents(request, metadata=processor.key())
    first = await asyncio.wait_for(stream.read(), 30)
    stream.cancel()

    assert later == [first.event.mail.event_id]


async def test_one_event_is_returned_whole_and_only_within_scope(processor: Processor) -> None:
    (event_id,) = await processor.publish(mail_draft())
    request = event_service_pb2.GetEventRequest(event_id=event_id.upper())
    answer = await processor.events.GetEvent(request, metadata=processor.key(TENANT))

    assert (event_id, True) == (answer.event.mail.event_id, answer.event.mail.HasField("raw"))
    other = processor.events.GetEvent(request, metadata=processor.key(OTHER_TENANT))
    assert "EVENT_NOT_FOUND" == await reason_of(other)


@pytest.mark.parametrize("field", ["tenant_ids", "providers", "event_types"])
async def test_a_filter_without_sense_is_refused(processor: Processor, field: str) -> None:
    request = event_service_pb2.ListEventsRequest()
    getattr(request.filter, field).append("" if field != "tenant_ids" else "no uuid")

    assert "FIELD_INVALID" == await reason_of(processor.events.ListEvents(request, metadata=processor.key()))


async def test_a_filter_never_widens_the_scope(processor: Processor) -> None:
    await processor.publish(mail_draft())
    request = event_service_pb2.ListEventsRequest()
    request.filter.tenant_ids.append(TENANT)
    answer = await processor.events.ListEvents(request, metadata=processor.key(OTHER_TENANT))

    assert [] == list(answer.events)


async def test_a_reader_may_not_replay(processor: Processor) -> None:
    call = processor.operations.ReplayEvents(
        processor_service_pb2.ReplayEventsRequest(), metadata=processor.key(role="reader")
    )

    assert "ROLE_TOO_LOW" == await reason_of(call)


async def test_a_replay_of_everything_is_not_asked_for_by_an_empty_request(processor: Processor) -> None:
    await processor.publish(mail_draft())
    empty = processor_service_pb2.ReplayEventsRequest
    for request in (empty(), empty(filter=EventFilter()), empty(request_id=str(uuid4()))):
        call = processor.operations.ReplayEvents(request, metadata=processor.key())
        assert "FIELD_INVALID" == await reason_of(call)

    counted = await processor.operations.ReplayEvents(empty(dry_run=True), metadata=processor.key())

    assert (1, 0) == (counted.matched, counted.appended)


async def test_a_replay_is_read_from_its_start_cursor(processor: Processor) -> None:
    (event_id,) = await processor.publish(mail_draft())
    answer = await processor.operations.ReplayEvents(
        processor_service_pb2.ReplayEventsRequest(from_cursor="earliest"), metadata=processor.key()
    )
    request = event_service_pb2.ListEventsRequest(cursor=answer.start_cursor)
    request.filter.replay_id = answer.replay_id
    page = await processor.events.ListEvents(request, metadata=processor.key())

    assert [event_id] == [event.mail.original_event_id for event in page.events]


async def test_a_reconciliation_goes_into_the_inbox(processor: Processor) -> None:
    request = processor_service_pb2.ReconcileMailboxRequest(tenant_id=TENANT)
    request.since.FromJsonString("2026-11-20T00:00:00Z")
    first = await processor.operations.ReconcileMailbox(request, metadata=processor.key())
    again = await processor.operations.ReconcileMailbox(request, metadata=processor.key())

    assert ("i1", False, True) == (first.item_id, first.was_waiting, again.was_waiting)
    asked = processor.inbox.reconciles[0]
    assert (TENANT, inbox_item_pb2.RECONCILE_REASON_MANUAL) == (asked.tenant_id, asked.reason)
    assert request.since == asked.since


async def test_a_reconciliation_of_another_or_no_tenant_is_not_found(processor: Processor) -> None:
    hidden = processor_service_pb2.ReconcileMailboxRequest(tenant_id=OTHER_TENANT)
    unknown = processor_service_pb2.ReconcileMailboxRequest(tenant_id="019a9f0e-7c1e-7000-8000-000000000404")

    assert "TENANT_NOT_FOUND" == await reason_of(
        processor.operations.ReconcileMailbox(hidden, metadata=processor.key(TENANT))
    )
    assert "TENANT_NOT_FOUND" == await reason_of(
        processor.operations.ReconcileMailbox(unknown, metadata=processor.key())
    )
    assert [] == processor.inbox.reconciles


async def _add_tenants(processor: Processor) -> None:
    for tenant_id in (TENANT, OTHER_TENANT):
        await processor.pool.execute(
            "INSERT INTO processor.tenants (tenant_id, provider, status, changed_at)"
            " VALUES ($1, 'ms365', 'active', now())", tenant_id,
        )  # fmt: skip
    await processor.pool.execute(
        "INSERT INTO processor.workers (worker_id, started_at, seen_at, tenants_held) VALUES ('w1', now(), now(), 3)"
    )


async def test_the_pipeline_shows_the_worst_tenant_first(processor: Processor) -> None:
    await _add_tenants(processor)
    await processor.publish(mail_draft(), mail_draft(tenant_id=OTHER_TENANT))
    processor.inbox.status.pending_items = 7
    processor.inbox.status.subscriptions_by_state["active"] = 3
    late = processor.inbox.status.tenants.add(tenant_id=OTHER_TENANT, pending_items=7, oldest_pending_seconds=30.5)
    late.last_notification_at.GetCurrentTime()
    status = await processor.operations.GetPipelineStatus(
        processor_service_pb2.GetPipelineStatusRequest(), metadata=processor.key(role="reader")
    )

    assert [(OTHER_TENANT, 30.5), (TENANT, 0)] == [(lag.tenant_id, lag.lag_seconds) for lag in status.tenants]
    assert all(lag.HasField("last_event_at") for lag in status.tenants)
    assert (7, 2, 1, {"active": 3}, {"active": 2}) == (
        status.inbox_pending, status.events_last_hour, status.refresh_failures_last_hour,
        dict(status.subscriptions_by_state), dict(status.tenants_by_status),
    )  # fmt: skip
    assert [("w1", 3)] == [(worker.worker_id, worker.tenants_held) for worker in status.workers]
    assert [] == list(status.unavailable)
    assert status.newest_position
    assert status.oldest_position


async def test_the_pipeline_of_a_narrow_key_shows_its_tenants_only(processor: Processor) -> None:
    await _add_tenants(processor)
    await processor.publish(mail_draft(), mail_draft(tenant_id=OTHER_TENANT))
    processor.inbox.status.refused_last_hour = 9
    request = processor_service_pb2.GetPipelineStatusRequest()
    status = await processor.operations.GetPipelineStatus(request, metadata=processor.key(TENANT))
    whole = await processor.operations.GetPipelineStatus(request, metadata=processor.key(role="reader"))
    await processor.publish(mail_draft(tenant_id=OTHER_TENANT))
    later = await processor.operations.GetPipelineStatus(request, metadata=processor.key(TENANT))
    silent = await processor.operations.GetPipelineStatus(
        request, metadata=processor.key("019a9f0e-7c1e-7000-8000-0000000000ee")
    )

    assert [TENANT] == [lag.tenant_id for lag in status.tenants]
    assert [TENANT] == list(processor.inbox.status_requests[0].tenant_ids)
    assert (1, {}, []) == (status.events_last_hour, dict(status.tenants_by_status), list(status.workers))
    assert (0, 9) == (status.refused_last_hour, whole.refused_last_hour)
    assert 0 == status.refresh_failures_last_hour
    # The mail of others moves nothing that the key sees.
    assert status.newest_position == later.newest_position
    assert "" == silent.newest_position
    events = await processor.events.ListEvents(
        event_service_pb2.ListEventsRequest(cursor=status.newest_position), metadata=processor.key(TENANT)
    )
    assert [] == list(events.events)
