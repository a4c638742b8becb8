"""Start runs: by a call, and by a filter that follows the event stream from a durable position."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from services.meshkit import db
from services.meshkit.erasing import marked
from services.meshkit.errors import MeshError
from services.meshkit.guard import Guard
from services.meshkit.ids import new_id
from services.workflows.errors import EventNotFound, QueueFull
from services.workflows.feed import EARLIEST, Feed, tenant_and_id
from services.workflows.metrics import EVENTS_PASSED
from services.workflows.store import positions, runs
from services.workflows.store.rows import RunRow

logger = structlog.get_logger(__name__)
SCHEMA = "workflows"
_PAGE = 100
_WAIT_SECONDS = 20
_FULL_SECONDS = 5.0
_LOST = ("CURSOR_EXPIRED", "CURSOR_EPOCH_CHANGED")


class Starter:
    """Starts runs, each once for a workflow and an event.

    Args:
        pool: Connections to PostgreSQL.
        queued: The largest number of runs that wait for their turn.
        time_limit: The longest duration from the start to the end or the first question.
        wake: Called when a run was started.
    """

    def __init__(self, pool: db.Pool, queued: int, time_limit: timedelta, wake: Callable[[], None]) -> None:
        self._pool, self._queued, self._time_limit, self._wake = pool, queued, time_limit, wake

    async def start(self, workflow: str, tenant_id: str, event_id: str) -> RunRow:
        """Start the run of a workflow for an event, or return the one that there is.

        Raises:
            EventNotFound: The tenant is being erased.
            QueueFull: Too many runs wait.
        """
        async with db.transaction(self._pool) as connection:
            if await marked(connection, SCHEMA, [tenant_id]):
                raise EventNotFound(resource=event_id)
            row = await runs.of_event(connection, tenant_id, workflow, event_id)
            if row is None:
                if await runs.count_queued(connection, self._queued) >= self._queued:
                    raise QueueFull
                row = await runs.insert(connection, tenant_id, new_id(), workflow, event_id, self._time_limit)
                row = row or await runs.of_event(connection, tenant_id, workflow, event_id)
        if row is None:
            raise EventNotFound(resource=event_id)  # erased between the two statements
        self._wake()
        return row

    async def has_room(self) -> bool:
        """Return whether a page of events can start runs."""
        async with db.connection(self._pool) as connection:
            return await runs.count_queued(connection, self._queued) + _PAGE <= self._queued

    async def start_page(self, workflow: str, before: str, after: str, events: Sequence[tuple[str, str]]) -> None:
        """Start the runs of a page of events, and move the filter's position with them.

        Nothing happens if another process has moved it.

        Args:
            workflow: The workflow.
            before: The position before the page.
            after: The position behind it.
            events: The tenants and ids of its events.
        """
        async with db.transaction(self._pool) as connection:
            if not await positions.move(connection, workflow, before, after):
                return
            erased = await marked(connection, SCHEMA, {tenant_id for tenant_id, _ in events})
            for tenant_id, event_id in events:
                if tenant_id not in erased:
                    await runs.insert(connection, tenant_id, new_id(), workflow, event_id, self._time_limit)
        if events:
            self._wake()


class Follower:
    """Starts the runs of one workflow for the events that its filter selects. Several processes may follow at a time.

    Args:
        workflow: The workflow.
        event_types: The types of events, or kinds such as "mail.*".
        pool: Connections to PostgreSQL.
        feed: The event stream.
        starter: Starts the runs.
    """

    def __init__(self, workflow: str, event_types: Sequence[str], pool: db.Pool, feed: Feed, starter: Starter) -> None:
        self._workflow, self._event_types = workflow, event_types
        self._pool, self._feed, self._starter = pool, feed, starter

    async def run(self) -> None:
        """Follow until cancelled."""
        guard = Guard(f"filter of {self._workflow}")
        await guard.until_cancelled(self.step)

    async def step(self) -> None:
        """Start the runs of one page of events, or wait for events.

        Raises:
            QueueFull: Too many runs wait; the events stay in the stream.
            MeshError: Processor or PostgreSQL is away.
        """
        if not await self._starter.has_room():
            raise QueueFull(retry_after=timedelta(seconds=_FULL_SECONDS))
        async with db.connection(self._pool) as connection:
            position = await positions.read(connection, self._workflow)
        if not position:
            newest = await self._feed.newest()
            async with db.connection(self._pool) as connection:
                await positions.begin(connection, self._workflow, newest)
            return
        try:
            page = await self._feed.page(position, self._event_types, _PAGE, _WAIT_SECONDS)
        except MeshError as exc:
            if exc.reason not in _LOST:
                raise
            await self._begin_again(position, exc.reason)
            return
        found = [tenant_and_id(event) for event in page.events]
        await self._starter.start_page(self._workflow, position, page.next_cursor, [one for one in found if one[0]])

    async def _begin_again(self, position: str, reason: str) -> None:
        """Read all events that the stream still has. Those that have a run start no other."""
        EVENTS_PASSED.inc()
        logger.error("a filter of workflows has lost its place in the stream", workflow=self._workflow, reason=reason)
        async with db.connection(self._pool) as connection:
            await positions.move(connection, self._workflow, position, EARLIEST)
