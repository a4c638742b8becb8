"""Warn operators of failing endpoints: by rows that are committed with the change, and by events of the stream."""

from datetime import UTC, datetime
from uuid import UUID, uuid5

import structlog

from mailmesh.processor.v1 import event_feed_service_pb2 as pb2
from mailmesh.processor.v1 import event_pb2
from services.delivery.sending.feed import Feed
from services.delivery.store import notices
from services.delivery.store.rows import EndpointRow, State
from services.meshkit import db
from services.meshkit.errors import InvalidArgument
from services.meshkit.notices import NoticePublisher

logger = structlog.get_logger(__name__)

MAX_KEPT = 10_000
"""Warnings that wait for Processor. The oldest ones beyond them are deleted: newer ones say more about an endpoint."""
_PERCENT_OF_QUARTER = 25
_TYPES = {State.DISABLED: "endpoint.disabled", State.GONE: "endpoint.gone"}


async def note_change(connection: db.Connection, before: EndpointRow, after: EndpointRow, now: datetime) -> None:
    """Keep the warning that a change calls for, if it does, in the transaction of the change.

    Args:
        connection: The transaction.
        before: The endpoint before the change.
        after: The endpoint afterwards.
        now: The time of the change.
    """
    if after.state is not before.state and after.state in _TYPES:
        await _keep(connection, after, _TYPES[after.state], 0, now)
    elif after.warnings > before.warnings:
        await _keep(connection, after, "endpoint.failing", after.warnings * _PERCENT_OF_QUARTER, now)


class Notices:
    """Publishes warnings, and bounds those that wait.

    Args:
        pool: Connections to PostgreSQL.
        feed: The event stream.
        max_kept: The largest number of warnings that wait.
    """

    def __init__(self, pool: db.Pool, feed: Feed, max_kept: int = MAX_KEPT) -> None:
        self._pool = pool
        self._max_kept = max_kept
        self._publisher = NoticePublisher(pool, notices, _notice, feed.publish, _log_refused)

    async def round(self) -> int:
        """Publish the oldest warnings; return their number. Safe to call again, and in several processes at a time.

        Raises:
            MeshError: Processor or PostgreSQL is away; the warnings stay, up to the bound.
        """
        async with db.connection(self._pool) as connection:
            surplus = await notices.delete_surplus(connection, self._max_kept)
        if surplus:
            logger.error("too many warnings about endpoints wait: the oldest were deleted", warnings=surplus)
        return await self._publisher.round()


async def _keep(connection: db.Connection, row: EndpointRow, event_type: str, percent: int, now: datetime) -> None:
    event = event_pb2.EndpointEvent(
        event_type=event_type, endpoint_id=row.endpoint_id, reason=row.reason, elapsed_percent=percent
    )
    event.received_at.FromDatetime(now.astimezone(UTC))
    if row.failing_since is not None:
        event.failing_since.FromDatetime(row.failing_since.astimezone(UTC))
    # A transaction whose answer was lost is repeated: the same change must not become a second event.
    since = row.failing_since or row.succeeded_at or row.created_at
    name = f"{event_type} {percent} {since.isoformat()} {row.revision}"
    notice_id = str(uuid5(UUID(row.endpoint_id), name))
    await notices.insert(connection, notice_id, row.endpoint_id, event.SerializeToString())


def _notice(notice_id: str, content: bytes) -> pb2.EndpointNotice:
    return pb2.EndpointNotice(notice_id=notice_id, event=event_pb2.EndpointEvent.FromString(content))


def _log_refused(one: pb2.EndpointNotice, failure: InvalidArgument) -> None:
    logger.error(
        "a warning about an endpoint was refused and deleted",
        endpoint_id=one.event.endpoint_id,
        event_type=one.event.event_type,
        reason=failure.reason,
        message=failure.message,
    )
