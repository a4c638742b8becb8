"""The share of the model that one API key has."""

import time
from collections.abc import Callable
from datetime import timedelta

from services.meshkit.cache import BoundedCache
from services.primitives.errors import ModelBudgetSpent

_KEYS = 10_000
_MINUTE = 60.0


class ModelBudget:
    """Lets each key spend a number of characters in a minute; the budget fills up continuously.

    Args:
        characters: Characters of a minute, and the most that is saved.
        monotonic: The time in seconds.
    """

    def __init__(self, characters: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._characters = characters
        self._monotonic = monotonic
        self._left: BoundedCache[str, tuple[float, float]] = BoundedCache(_KEYS)

    def spend(self, key: str, characters: int) -> None:
        """Spend characters of a key.

        Raises:
            ModelBudgetSpent: The key has too few left. Nothing is spent; it says when a retry makes sense.
        """
        now = self._monotonic()
        left, at = self._left.get(key) or (float(self._characters), now)
        left = min(self._characters, left + (now - at) * self._characters / _MINUTE)
        if left < characters:
            seconds = (characters - left) * _MINUTE / self._characters
            raise ModelBudgetSpent(retry_after=timedelta(seconds=min(seconds, _MINUTE)))
        self._left.put(key, (left - characters, now))
