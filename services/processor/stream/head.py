"""Watch for new events: one listener for the whole process, and a slow poll for when it fails."""

import asyncio
from typing import Any

from services.meshkit import db
from services.meshkit.guard import Guard
from services.processor.stream.store.event_log import CHANNEL
from services.processor.stream.store.event_reader import stream_state

_LONGEST_RETRY_SECONDS = 2.0


class HeadWatch:
    """Follows the position of the newest event.

    Args:
        pool: Connections to PostgreSQL; one of them listens.
        look_seconds: The interval at which the head is read in any case.
        retry_seconds: The pause before the first new attempt to listen.
    """

    def __init__(self, pool: db.Pool, look_seconds: float = 2.0, retry_seconds: float = 0.5) -> None:
        self.head = 0
        self._pool = pool
        self._look_seconds = look_seconds
        self._retry_seconds = retry_seconds
        self._moved = asyncio.Event()

    async def beyond(self, position: int, seconds: float) -> bool:
        """Wait until there is an event after a position.

        Args:
            position: The reader's position.
            seconds: The longest wait.

        Returns:
            Whether there is one; False also when the readers were woken for another reason.
        """
        if self.head <= position and seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._moved.wait()
            except TimeoutError:
                return False
        return self.head > position

    def wake(self) -> None:
        """Wake all waiters, so that they check their conditions."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def run(self) -> None:
        """Listen until cancelled; listen again whenever the connection was lost."""
        guard = Guard("new events", self._retry_seconds / 2, _LONGEST_RETRY_SECONDS)
        await guard.until_cancelled(self._listen_once)

    async def _listen_once(self) -> None:
        async with db.connection(self._pool) as connection:
            await self._listen(connection)

    async def _listen(self, connection: db.Connection) -> None:
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
        """Note the head. One that went back counts as a change: the store was restored, and readers must find out."""
        if head != self.head:
            self.head = head
            self.wake()
