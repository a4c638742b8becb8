"""Following a log by pages: the cursor, standing by, and failures."""

from dataclasses import dataclass, field

import pytest

from services.meshkit.errors import ServiceUnavailable
from services.meshkit.tenant_follower import TenantFollower


@dataclass
class Page:
    changes: list[str]
    next_cursor: str


@dataclass
class Copy:
    """A copy in memory, with the same check as a store's."""

    stored: str = ""
    is_ours: bool = True
    seen: list[str] = field(default_factory=list)
    calls: int = 0

    async def cursor(self) -> str | None:
        return self.stored if self.is_ours else None

    async def apply(self, page: Page, cursor: str) -> None:
        self.calls += 1
        if cursor == self.stored:
            self.stored = page.next_cursor
            self.seen += page.changes


LOG = {"": Page([], "1"), "1": Page(["a", "b"], "3"), "3": Page([], "3")}


async def read(cursor: str) -> Page:
    return LOG[cursor]


async def test_pages_are_applied_in_order_and_a_page_without_news_is_not_committed() -> None:
    copy = Copy()
    follower = TenantFollower(read, copy)

    assert [1, 2, 1, 1] == [await follower.round() for _ in range(4)]
    assert (["a", "b"], "3", 2) == (copy.seen, copy.stored, copy.calls)


async def test_a_process_that_stands_by_does_not_read_the_log() -> None:
    async def unread(cursor: str) -> Page:
        raise AssertionError(cursor)

    assert 0 == await TenantFollower(unread, Copy(is_ours=False)).round()


async def test_a_log_that_does_not_answer_leaves_the_cursor() -> None:
    async def away(cursor: str) -> Page:
        raise ServiceUnavailable

    copy = Copy("1")
    with pytest.raises(ServiceUnavailable):
        await TenantFollower(away, copy).round()

    assert ("1", 0) == (copy.stored, copy.calls)
