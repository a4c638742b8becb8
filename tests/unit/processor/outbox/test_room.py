"""The memory for files is lent in order, never beyond its size, and comes back in every case."""

import asyncio

import pytest

from services.processor.outbox.room import NoRoomError, Room

SECONDS = 30.0


class Holder:
    """Holds bytes until the test ends it."""

    def __init__(self, room: Room, size: int, seconds: float = SECONDS) -> None:
        self.has = asyncio.Event()
        self.enough = asyncio.Event()
        self.task = asyncio.create_task(self._hold(room, size, seconds))

    async def _hold(self, room: Room, size: int, seconds: float) -> None:
        async with room.take(size, seconds):
            self.has.set()
            await self.enough.wait()

    async def end(self) -> None:
        self.enough.set()
        await self.task


async def settle() -> None:
    """Let each task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_small_request_waits_behind_a_large_one() -> None:
    room = Room(10)
    first, large, small = Holder(room, 6), Holder(room, 8), Holder(room, 2)
    await settle()
    before = [one.has.is_set() for one in (first, large, small)]
    await first.end()
    await settle()
    after = [one.has.is_set() for one in (large, small)]
    await asyncio.gather(large.end(), small.end())

    assert ([True, False, False], [True, True]) == (before, after)


async def test_a_request_for_more_than_there_is_gets_all() -> None:
    room = Room(10)
    large, next_one = Holder(room, 11), Holder(room, 1)
    await settle()
    before = (large.has.is_set(), next_one.has.is_set())
    await large.end()
    await next_one.end()

    assert (True, False) == before


async def test_requests_that_gave_up_or_were_cancelled_leave_the_room_as_it_was() -> None:
    room = Room(10)
    first = Holder(room, 10)
    late, cancelled, waiting = Holder(room, 10, 0.01), Holder(room, 9), Holder(room, 10)
    await settle()
    cancelled.task.cancel()
    with pytest.raises(NoRoomError):
        await late.task
    await first.end()
    await settle()
    # The bytes are lent here, and the task ends before it runs on.
    unlucky = Holder(room, 10)
    await settle()
    waiting.enough.set()
    await waiting.task
    unlucky.task.cancel()
    last = Holder(room, 10)
    await settle()
    had = last.has.is_set()
    await last.end()

    assert (True, True, True) == (cancelled.task.cancelled(), unlucky.task.cancelled(), had)
