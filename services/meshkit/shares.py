"""A bound on things that run at the same time, and on the share of each holder."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from services.meshkit.errors import Overloaded


class Shares:
    """Counts what runs, so that one holder cannot take everybody's room. Not for several threads.

    Args:
        name: The name of the bound in refusals.
        total: The largest number for all holders.
        each: The largest number for one holder.
    """

    def __init__(self, name: str, total: int, each: int) -> None:
        self._name = name
        self._total = total
        self._each = each
        self._held: Counter[str] = Counter()
        self.taken = 0
        """The number that runs now."""

    @contextmanager
    def take(self, holder: str) -> Iterator[None]:
        """Run the block as one of the holder's.

        Args:
            holder: An API key or an address. The empty string is bounded by the total alone.

        Raises:
            Overloaded: The holder's share is used up, or there is no room for anybody.
        """
        if holder and self._held[holder] >= self._each:
            raise Overloaded(metadata={"bound": f"{self._name}_of_one"})
        if self.taken >= self._total:
            raise Overloaded(metadata={"bound": self._name})
        self._held[holder] += 1
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]
