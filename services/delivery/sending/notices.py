"""Warn operators of failing endpoints: by rows that are committed with the change, and by events of the stream."""

from datetime import UTC, datetime
from uuid import UUID, uuid5

from mailmesh.processor.v1 import event_feed_service_pb2 as pb2
from mailmesh.processor.v1 import event_pb2
from services.delivery.sending.feed import Feed
from services.delivery.store import notices
from services.delivery.store.rows import EndpointRow, State
from services.meshkit import db

_BATCH = 100
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
    """Publishes warnings, and forgets them once Processor has them.

    Args:
        pool: Connections to PostgreSQL.
        feed: The event stream.
    """

    def __init__(self, pool: db.Pool, feed: Feed) -> None:
        self._pool = pool
        self._feed = feed

    async def round(self) -> int:
        """Publish the oldest warnings; return their number. Safe to call again, and in several processes at a time.

        Raises:
            MeshError: Processor or PostgreSQL is away; the warnings stay.
        """
        async with db.connection(self._pool) as connection:
            kept = await notices.oldest(connection, _BATCH)
        if not kept:
            return 0
        await self._feed.publish([pb2.EndpointNotice(notice_id=one, event=_event(content)) for one, content in kept])
        async with db.connection(self._pool) as connection:
            await notices.delete(connection, [one for one, _ in kept])
        return len(kept)


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


def _event(content: bytes) -> event_pb2.EndpointEvent:
    return event_pb2.EndpointEvent.FromString(content)
