"""The bound of requests under way in one process."""


class Slots:
    """Requests beside the first one of each endpoint. The first one needs no slot, so slow endpoints cannot take it.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._free = count

    def take(self) -> bool:
        """Take a slot; return whether one was free."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    def give(self) -> None:
        """Give a slot back."""
        self._free += 1
