"""The settled state of the stream: its head is one that no further event can precede."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from services.meshkit import db
from services.processor.stream.store.event_reader import StreamState, before_publishers, stream_state

_PAUSES = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)
"""The pauses between two checks of the publishers under way, in seconds; afterwards a reader stops before them."""


@asynccontextmanager
async def settled(pool: db.Pool, position: int) -> AsyncIterator[tuple[db.Connection, StreamState]]:
    """Yield a connection, and the state of the stream whose head no further event can precede.

    The head is that of the newest event, once the publishers that were under way have ended: they may commit at earlier
    positions. A publisher that begins later takes later positions. The wait takes a quarter of a second at most and
    holds no connection; then the head is that of the last event that precedes the publishers still under way.

    Args:
        pool: Connections to PostgreSQL.
        position: The position of the event to look for.
    """
    first: StreamState | None = None
    left: dict[int, tuple[int, UUID | None]] = {}
    for pause in (*_PAUSES, None):
        async with db.connection(pool) as connection:
            state = await stream_state(connection, position)
            first = first or state
            # A lane whose head has moved has a publisher that began later.
            left = dict((left or first.under_way).items() & state.under_way.items())
            if not left or pause is None:
                head = (first.head, first.head_event_id)
                if left:
                    head = await before_publishers(connection, left, first.head)
                elif not state.under_way:
                    head = (state.head, state.head_event_id)
                yield connection, replace(state, head=head[0], head_event_id=head[1])
                return
        await asyncio.sleep(pause)
