"""Counts notifications by their outcome."""

from functools import lru_cache

from services.ingest.metrics import NOTIFICATIONS

TOKEN_REFUSED = "token_refused"  # noqa: S105 - an outcome
"""A notification with resource data whose publisher is not proven."""
DATA_REFUSED = "data_refused"
"""A proven notification whose resource data does not open."""

_labelled = lru_cache(maxsize=256)(NOTIFICATIONS.labels)


def count(provider: str, outcome: str, notifications: int = 1) -> None:
    """Count notifications.

    Args:
        provider: "ms365" or "googlews".
        outcome: A word from the code; never input from outside.
        notifications: Their number; nothing happens for 0.
    """
    if notifications:
        _labelled(provider, outcome).inc(notifications)
