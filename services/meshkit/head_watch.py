"""Watching the head of a log in PostgreSQL: one listener for the whole process, and a slow poll for when it fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from services.meshkit import db
from services.meshkit.db_lending import check_writable
from services.meshkit.guard import Guard

_LONGEST_RETRY_SECONDS = 2.0


class HeadWatch:
    """Follows the position of the newest entry.

    Args:
        pool: Connections to PostgreSQL; one of them listens.
        channel: The NOTIFY channel of the log, whose payload is the new head.
        read_head: Reads the head.
        look_seconds: The interval at which the head is read in any case.
        retry_seconds: The pause before the first new attempt to listen.
    """

    def __init__(
        self,
        pool: db.Pool,
        channel: str,
        read_head: Callable[[db.Connection], Awaitable[int]],
        *,
        look_seconds: float = 5.0,
        retry_seconds: float = 0.5,
    ) -> None:
        self.head = 0
        self._pool = pool
        self._channel = channel
        self._read_head = read_head
        self._look_seconds = look_seconds
        self._retry_seconds = retry_seconds
        self._moved = asyncio.Event()
        self._calls: list[Callable[[], None]] = []

    def call(self, on_move: Callable[[], None]) -> None:
        """Have something called whenever the head moves, such as the wake-up of a loop."""
        self._calls.append(on_move)

    async def beyond(self, position: int, seconds: float) -> bool:
        """Wait until there is an entry after a position.

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

    def note(self, position: int) -> None:
        """Note an entry that a reader has found: not every entry is notified."""
        self._move(max(self.head, position))

    def wake(self) -> None:
        """Wake all waiters, so that they check their conditions."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def run(self) -> None:
        """Listen until cancelled; listen again whenever the connection was lost."""
        guard = Guard(self._channel, self._retry_seconds / 2, _LONGEST_RETRY_SECONDS)
        await guard.until_cancelled(self._listen_once)

    async def _listen_once(self) -> None:
        async with db.connection(self._pool) as connection:
            await self._listen(connection)

    async def _listen(self, connection: db.Connection) -> None:
        await connection.add_listener(self._channel, self._heard)
        try:
            while True:
                # A server that became a standby keeps its connections and answers, and never notifies of a new head.
                await check_writable(connection)
                self._move(await self._read_head(connection))
                await asyncio.sleep(self._look_seconds)
        finally:
            if not connection.is_closed():
                await connection.remove_listener(self._channel, self._heard)

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        # A commit may be notified behind that of a later position.
        self.note(int(str(payload)))

    def _move(self, head: int) -> None:
        """Note the head. One that went back counts as a change: the store was restored, and readers must find out."""
        if head != self.head:
            self.head = head
            self.wake()
            for on_move in self._calls:
                on_move()
