"""Warnings about failing endpoints on a real PostgreSQL: kept with the change, once, until Processor has them."""

from datetime import UTC, datetime, timedelta

import pytest
import structlog

from mailmesh.processor.v1 import event_feed_service_pb2 as feed_pb2
from mailmesh.processor.v1 import event_pb2
from services.delivery.sending.notices import Notices
from services.delivery.sending.results import record
from services.delivery.store import notices
from services.delivery.store.rows import EndpointRow
from services.meshkit import db
from services.meshkit.errors import FieldInvalid, ServiceUnavailable
from services.meshkit.ids import new_id
from tests.store.delivery.queues import ALL, DAY, SCHEDULE, Pool, delivery, held, pool, queued, tried, use_cases

__all__ = ["pool"]
pytestmark = pytest.mark.timeout(300)


class Feed:
    """A stream that takes notices, unless it is away.

    Attributes:
        published: The notices by id, each as often as it was given.
        is_away: Whether it cannot be reached.
        refused: The types that it does not know: it refuses each call that contains one, as Processor does.
    """

    def __init__(self) -> None:
        self.published: list[str] = []
        self.is_away = False
        self.refused: set[str] = set()

    async def publish(self, given: list[feed_pb2.EndpointNotice]) -> None:
        if self.is_away:
            raise ServiceUnavailable
        if self.refused & {one.event.event_type for one in given}:
            raise FieldInvalid.of("notices[0].event.event_type", "must be a known one")
        self.published += [one.notice_id for one in given]


async def warned(pool: Pool) -> list[tuple[str, int]]:
    """Returns the types and shares of the notices that are kept."""
    async with db.connection(pool) as connection:
        kept = [event_pb2.EndpointEvent.FromString(content) for _, content in await notices.oldest(connection, 100)]
    return [(one.event_type, one.elapsed_percent) for one in kept]


async def tell(pool: Pool, lease: str, row: EndpointRow, status: int, now: datetime) -> None:
    """Records one attempt of a new event at a time of the schedule's clock."""
    one = delivery(new_id())
    await queued(pool, row, one)
    assert await record(pool, lease, row.endpoint_id, [tried(one, status)], SCHEDULE, now) is not None


async def test_half_and_three_quarters_and_the_end_warn_once_each(pool: Pool) -> None:
    lease, start = new_id(), datetime.now(UTC)
    row = await held(pool, lease)
    half, end = timedelta(days=2.5), 5 * DAY
    for passed in (timedelta(), half - timedelta(seconds=1)):
        await tell(pool, lease, row, 500, start + passed)
    assert [] == await warned(pool)
    for passed in (half, half + timedelta(hours=1), timedelta(days=3.75), timedelta(days=4), end):
        await tell(pool, lease, row, 500, start + passed)

    assert [("endpoint.failing", 50), ("endpoint.failing", 75), ("endpoint.disabled", 0)] == await warned(pool)


async def test_a_success_begins_the_count_again(pool: Pool) -> None:
    lease, start = new_id(), datetime.now(UTC)
    row = await held(pool, lease)
    for days, status in ((0, 500), (3, 500), (3.1, 200), (3.2, 500), (5.6, 500), (5.8, 500)):
        await tell(pool, lease, row, status, start + timedelta(days=days))

    assert [("endpoint.failing", 50)] * 2 == await warned(pool)


async def test_an_endpoint_that_is_gone_warns_again_after_it_was_resumed(pool: Pool) -> None:
    lease = new_id()
    row = await held(pool, lease)
    for _ in range(2):
        await tell(pool, lease, row, 410, datetime.now(UTC))
        await use_cases(pool).resume(row.endpoint_id, ALL, "")

    assert [("endpoint.gone", 0)] * 2 == await warned(pool)


async def test_notices_stay_while_the_stream_is_away_and_keep_their_ids(pool: Pool) -> None:
    lease, feed = new_id(), Feed()
    row = await held(pool, lease)
    await tell(pool, lease, row, 410, datetime.now(UTC))
    sender, feed.is_away = Notices(pool, feed), True  # type: ignore[arg-type] # a part of the feed
    with pytest.raises(ServiceUnavailable):
        await sender.round()
    async with db.connection(pool) as connection:
        [(notice_id, _)] = await notices.oldest(connection, 10)
    feed.is_away = False

    assert (1, 0) == (await sender.round(), await sender.round())
    assert [notice_id] == feed.published


async def kept_gone(pool: Pool, count: int) -> list[str]:
    """Keeps warnings that an endpoint is gone; returns the ids, the oldest first."""
    lease = new_id()
    row = await held(pool, lease)
    for _ in range(count):
        await tell(pool, lease, row, 410, datetime.now(UTC))
        await use_cases(pool).resume(row.endpoint_id, ALL, "")
    async with db.connection(pool) as connection:
        return [one for one, _ in await notices.oldest(connection, 100)]


async def test_a_refused_notice_is_dropped_and_holds_up_no_other(pool: Pool) -> None:
    [first, last], feed = await kept_gone(pool, 2), Feed()
    refused = new_id()
    event = event_pb2.EndpointEvent(event_type="endpoint.later", endpoint_id=new_id())
    async with db.connection(pool) as connection:
        await notices.insert(connection, refused, event.endpoint_id, event.SerializeToString())
        await connection.execute("UPDATE delivery.notices SET sequence = DEFAULT WHERE notice_id = $1", last)
    feed.refused = {"endpoint.later"}

    with structlog.testing.capture_logs() as lines:
        assert (3, 0) == (await Notices(pool, feed).round(), await Notices(pool, feed).round())  # type: ignore[arg-type] # a part of the feed
    assert [first, last] == feed.published
    [line] = lines
    assert ("error", event.endpoint_id, "endpoint.later", "FIELD_INVALID") == (
        *(line[name] for name in ("log_level", "endpoint_id", "event_type", "reason")),
    )


async def test_the_oldest_notices_beyond_the_bound_are_dropped_while_the_stream_is_away(pool: Pool) -> None:
    ids, feed = await kept_gone(pool, 4), Feed()
    feed.is_away = True
    with structlog.testing.capture_logs() as lines, pytest.raises(ServiceUnavailable):
        await Notices(pool, feed, max_kept=3).round()  # type: ignore[arg-type] # a part of the feed
    feed.is_away = False

    assert [1] == [line["warnings"] for line in lines]
    assert 3 == await Notices(pool, feed, max_kept=3).round()  # type: ignore[arg-type] # a part of the feed
    assert ids[1:] == feed.published
