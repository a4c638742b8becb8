"""Publish changes of runs: rows that were committed with the change become events of the stream."""

import structlog

from mailmesh.processor.v1 import event_feed_service_pb2 as pb2
from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.meshkit.errors import InvalidArgument
from services.workflows.feed import Feed
from services.workflows.store import notices

logger = structlog.get_logger(__name__)
_BATCH = 100


class Publisher:
    """Publishes changes, and forgets them once Processor has them.

    A change that Processor refuses is logged and deleted: repeating it fails again, and it would hold up the others.

    Args:
        pool: Connections to PostgreSQL.
        feed: The event stream.
    """

    def __init__(self, pool: db.Pool, feed: Feed) -> None:
        self._pool, self._feed = pool, feed

    async def round(self) -> int:
        """Publish the oldest changes; return their number. Safe to call again, and in several processes at a time.

        Raises:
            MeshError: Processor or PostgreSQL is away; the changes stay.
        """
        async with db.connection(self._pool) as connection:
            kept = await notices.oldest(connection, _BATCH)
        if not kept:
            return 0
        given = [
            pb2.WorkflowNotice(notice_id=one, event=event_pb2.WorkflowEvent.FromString(content))
            for one, content in kept
        ]
        try:
            await self._give(given)
        except InvalidArgument:
            for one in given:
                await self._give_or_drop(one)
        return len(given)

    async def _give(self, given: list[pb2.WorkflowNotice]) -> None:
        await self._feed.publish(given)
        async with db.connection(self._pool) as connection:
            await notices.delete(connection, [one.notice_id for one in given])

    async def _give_or_drop(self, one: pb2.WorkflowNotice) -> None:
        try:
            await self._give([one])
        except InvalidArgument as exc:
            logger.error(  # noqa: TRY400 - the failure names its cause
                "a change of a run was refused and deleted",
                run_id=one.event.run_id,
                event_type=one.event.event_type,
                reason=exc.reason,
                message=exc.message,
            )
            async with db.connection(self._pool) as connection:
                await notices.delete(connection, [one.notice_id])
