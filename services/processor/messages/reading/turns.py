"""Turns: one call at a time for each mailbox, and a bounded wait for the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.meshkit.errors import Overloaded


class Turns:
    """Lets one caller at a time have a turn at a key. Not for several threads.

    Args:
        seconds: The longest wait for a turn.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def take(self, key: str) -> AsyncIterator[None]:
        """Run the block while no other block of the key runs.

        Raises:
            Overloaded: The blocks before took too long.
        """
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            await self._acquire(lock)
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, users = self._locks[key]
            self._locks[key] = (lock, users - 1)
            if users == 1:
                del self._locks[key]

    async def _acquire(self, lock: asyncio.Lock) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await lock.acquire()
        except TimeoutError as exc:
            raise Overloaded(metadata={"bound": "reads_of_one"}) from exc
