"""Knowing when there is something new: one listener for the whole process, and a slow look for when it fails."""

import asyncio
from typing import Any

import asyncpg
import structlog

from services.meshkit.errors import MeshError
from services.meshkit.loops import heed_cancellation
from services.processor.connection import Connection, lent
from services.processor.stream.store.event_log import CHANNEL
from services.processor.stream.store.event_reader import stream_state

logger = structlog.get_logger(__name__)


class HeadWatch:
    """Follows the position of the newest event.

    Args:
        pool: PostgreSQL; one connection of it is kept for listening.
        look_seconds: How often the head is looked up whatever was heard.
        retry_seconds: Between two tries to listen.
    """

    def __init__(self, pool: "asyncpg.Pool[Any]", look_seconds: float = 2.0, retry_seconds: float = 0.5) -> None:
        self.head = 0
        self._pool = pool
        self._look_seconds = look_seconds
        self._retry_seconds = retry_seconds
        self._moved = asyncio.Event()

    async def beyond(self, position: int, seconds: float) -> bool:
        """Waits until there is something behind a position.

        Args:
            position: Where the reader stands.
            seconds: How long to wait at most.

        Returns:
            Whether there is; False also when the readers were woken for another reason.
        """
        if self.head <= position and seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._moved.wait()
            except TimeoutError:
                return False
        return self.head > position

    def wake(self) -> None:
        """Wakes everyone who waits, for them to look around."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def run(self) -> None:
        """Listens until it is cancelled; takes up again whenever the database was away."""
        while True:
            heed_cancellation()
            try:
                async with lent(self._pool) as connection:
                    await self._listen(connection)
            except (MeshError, asyncpg.PostgresError) as exc:
                logger.warning("not listening for events", error=type(exc).__name__)
            await asyncio.sleep(self._retry_seconds)

    async def _listen(self, connection: Connection) -> None:
        await connection.add_listener(CHANNEL, self._heard)
        try:
            while True:
                self._move((await stream_state(connection, 0)).head)
                await asyncio.sleep(self._look_seconds)
        finally:
            if not connection.is_closed():
                await connection.remove_listener(CHANNEL, self._heard)

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self._move(int(str(payload)))

    def _move(self, head: int) -> None:
        """A head that went back is one too: then the store was restored, and readers must find out."""
        if head != self.head:
            self.head = head
            self.wake()
