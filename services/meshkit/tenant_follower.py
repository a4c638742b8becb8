"""Following the log of tenants' changes, page by page, from a cursor that the follower's own store keeps.

The log belongs to one service, and each follower keeps a copy of the tenants' states beside its own data. This module
knows neither the contract of the log nor the store: both are handed in.
"""

from collections.abc import Awaitable, Callable, Sized
from typing import Generic, Protocol, TypeVar


class ChangesPage(Protocol):
    """A page of the log."""

    @property
    def changes(self) -> Sized:
        """The changes, oldest first."""

    @property
    def next_cursor(self) -> str:
        """The cursor behind this page."""


Page = TypeVar("Page", bound=ChangesPage)
Page_contra = TypeVar("Page_contra", bound=ChangesPage, contravariant=True)


class TenantCopy(Protocol[Page_contra]):
    """A follower's own copy of the tenants' states, with its cursor in the log."""

    async def cursor(self) -> str | None:
        """Return the cursor, empty before the first page. None: another process follows the log at present.

        Raises:
            MeshError: The store does not answer.
        """

    async def apply(self, page: Page_contra, cursor: str) -> None:
        """Commit a page together with its next cursor, or leave it out if the stored cursor is no longer `cursor`.

        That check makes it safe for several processes to follow: the fastest one moves the cursor, and the others go on
        behind it.

        Raises:
            MeshError: The store does not answer.
        """


class TenantFollower(Generic[Page]):
    """Reads the log and applies it to a copy.

    Args:
        read: Reads the page behind a cursor, and waits a bounded time for one if there is none. It has a deadline.
        copy: The copy.
    """

    def __init__(self, read: Callable[[str], Awaitable[Page]], copy: TenantCopy[Page]) -> None:
        self._read = read
        self._copy = copy

    async def round(self) -> int:
        """Apply the next page. For a periodic loop. Safe to call again: the cursor moves with the commit.

        Returns:
            At least 1, so that the loop asks for the next page at once, or 0 if another process follows the log.

        Raises:
            MeshError: The log or the store does not answer.
        """
        cursor = await self._copy.cursor()
        if cursor is None:
            return 0
        page = await self._read(cursor)
        if len(page.changes) or page.next_cursor != cursor:
            await self._copy.apply(page, cursor)
        return max(1, len(page.changes))
