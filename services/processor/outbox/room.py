"""The memory that the files of prepared mails take: bounded for the process, however many mailboxes send at once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class NoRoomError(Exception):
    """Other mails had the memory for too long."""


class Room:
    """Lends bytes, in the order of the requests. Not for several threads.

    Args:
        size: The number of bytes. A request for more waits for all of them.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def take(self, size: int, seconds: float) -> AsyncIterator[None]:
        """Run the block while it has its bytes.

        Raises:
            NoRoomError: Other blocks had the bytes for too long.
        """
        wanted = min(size, self._size)
        await self._acquire(wanted, seconds)
        try:
            yield
        finally:
            self._free += wanted
            self._hand_out()

    async def _acquire(self, wanted: int, seconds: float) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, turn))
        self._hand_out()
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as exc:  # ended by its deadline or with its task: others go on in either case
            self._leave(wanted, turn)
            if isinstance(exc, TimeoutError):
                raise NoRoomError from exc
            raise

    def _leave(self, wanted: int, turn: asyncio.Future[None]) -> None:
        if not turn.cancelled():
            self._free += wanted
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and (self._waiting[0][0] <= self._free or self._waiting[0][1].cancelled()):
            wanted, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= wanted
                turn.set_result(None)
