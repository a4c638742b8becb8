"""The writer of the inbox, as receivers of notifications use it."""

from collections.abc import Sequence
from typing import Protocol

from services.ingest.store.items import NewItem


class ItemWriter(Protocol):
    """The writer of the inbox."""

    def admit(self, count: int = 1) -> None:
        """Raise Overloaded when the buffer has no room for so many notifications."""

    async def write(self, items: Sequence[NewItem]) -> None:
        """Return when the items are on disk."""
