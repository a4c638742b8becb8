"""The writer groups what has arrived, refuses what exceeds its bounds, and acknowledges only what is on disk."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from services.ingest.inbox.writer import GroupWriter, WriterLimits
from services.ingest.store.items import Accepted, Kind, NewItem
from services.meshkit.errors import Overloaded, ShuttingDown, StoreUnavailable
from services.meshkit.ids import new_id


class Disk:
    """A store whose commits return when the test lets them."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.failures: list[Exception] = []
        self.may_commit = asyncio.Event()
        self.may_commit.set()

    async def accept_items(self, items: Sequence[NewItem], seconds: float) -> Accepted:
        self.groups.append([item.key for item in items])
        await self.may_commit.wait()
        if self.failures:
            raise self.failures.pop(0)
        return Accepted(len(items), [item.tenant_id for item in items])


def item(key: str = "", other_key: str | None = None) -> NewItem:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return NewItem(new_id(), "tenant-1", Kind.MAIL, b"{}", now, key or new_id(), other_key)


@asynccontextmanager
async def writing(disk: Disk, woken: list[str] | None = None, **limits: float) -> AsyncIterator[GroupWriter]:
    writer = GroupWriter(disk.accept_items, WriterLimits(**limits), (woken if woken is not None else []).extend)  # type: ignore[arg-type]
    yield writer
    await writer.aclose()


async def started(disk: Disk, groups: int = 1) -> None:
    async with asyncio.timeout(30):
        while len(disk.groups) < groups:
            await asyncio.sleep(0)


async def test_what_arrives_during_a_commit_shares_the_next_one() -> None:
    disk, woken = Disk(), list[str]()
    async with writing(disk, woken) as writer:
        disk.may_commit.clear()
        writes = [asyncio.create_task(writer.write([item("first")]))]
        await started(disk)
        writes += [asyncio.create_task(writer.write([item(f"next-{number}")])) for number in range(3)]
        await asyncio.sleep(0)
        disk.may_commit.set()
        await asyncio.gather(*writes)

    assert [["first"], ["next-0", "next-1", "next-2"]] == disk.groups
    assert 4 == len(woken)


async def test_nothing_is_done_before_the_commit_returns() -> None:
    disk = Disk()
    async with writing(disk) as writer:
        disk.may_commit.clear()
        write = asyncio.create_task(writer.write([item()]))
        await started(disk)
        assert not write.done()
        disk.may_commit.set()
        await write


async def test_past_the_bound_it_is_refused_at_once() -> None:
    disk = Disk()
    async with writing(disk, buffered=2) as writer:
        disk.may_commit.clear()
        writes = [asyncio.create_task(writer.write([item()]))]
        await started(disk)
        writes += [asyncio.create_task(writer.write([item()])) for _ in range(2)]
        await asyncio.sleep(0)

        with pytest.raises(Overloaded):
            await writer.write([item()])

        disk.may_commit.set()
        await asyncio.gather(*writes)


async def test_a_post_larger_than_the_bound_is_taken_when_nothing_waits() -> None:
    disk = Disk()
    async with writing(disk, buffered=2, group=2) as writer:
        await writer.write([item(str(number)) for number in range(5)])

    assert [["0", "1", "2", "3", "4"]] == disk.groups


async def test_a_commit_that_takes_too_long_is_no_commit() -> None:
    disk = Disk()
    async with writing(disk, commit_seconds=1.0) as writer:
        disk.may_commit.clear()
        writes = [writer.write([item()]), writer.write([item()])]

        for outcome in await asyncio.gather(*writes, return_exceptions=True):
            assert isinstance(outcome, StoreUnavailable)


async def test_what_nobody_waits_for_any_more_is_not_written() -> None:
    disk = Disk()
    async with writing(disk, commit_seconds=1.0) as writer:
        disk.may_commit.clear()
        first = asyncio.create_task(writer.write([item("first")]))
        await started(disk)
        late = asyncio.create_task(writer.write([item("late")]))
        await asyncio.wait([first, late])
        disk.may_commit.set()
        await writer.write([item("new")])

    assert [["first"], ["new"]] == disk.groups


async def test_a_failed_group_is_refused_and_the_next_goes_on() -> None:
    disk = Disk()
    disk.failures = [StoreUnavailable(), ValueError("a fault of ours")]
    async with writing(disk) as writer:
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await writer.write([item()])
        await writer.write([item()])


async def test_repeats_within_a_group_are_written_once_and_all_are_done() -> None:
    disk = Disk()
    async with writing(disk) as writer:
        disk.may_commit.clear()
        writes = [asyncio.create_task(writer.write([item("first")]))]
        await started(disk)
        same = [item("a", "x"), item("a", "y"), item("b", "x"), item("c")]
        writes += [asyncio.create_task(writer.write([one])) for one in same]
        await asyncio.sleep(0)
        disk.may_commit.set()
        await asyncio.gather(*writes)

    assert [["first"], ["a", "c"]] == disk.groups


async def test_what_waits_when_the_writer_ends_is_refused() -> None:
    disk = Disk()
    async with writing(disk) as writer:
        disk.may_commit.clear()
        writes = [asyncio.create_task(writer.write([item()]))]
        await started(disk)
        writes.append(asyncio.create_task(writer.write([item()])))
        await asyncio.sleep(0)

    for outcome in await asyncio.gather(*writes, return_exceptions=True):
        assert isinstance(outcome, ShuttingDown)
    with pytest.raises(ShuttingDown):
        await writer.write([item()])
