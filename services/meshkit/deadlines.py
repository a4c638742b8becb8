"""How much time is left: from the call that came in to every call that goes out."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from services.meshkit.errors import DeadlineTooShort

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def set_deadline(seconds: float | None) -> None:
    """Set the deadline of this task from here on.

    Args:
        seconds: From now. None means that there is none.
    """
    _deadline.set(None if seconds is None else time.monotonic() + seconds)


def remaining() -> float | None:
    """Seconds until the deadline of what runs here, not below 0; None when there is none."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def budget(cap_seconds: float) -> float:
    """Return the time that an operation may take.

    Args:
        cap_seconds: The most it is ever given.

    Returns:
        Seconds: the cap, or what is left of the deadline when that is less.

    Raises:
        DeadlineTooShort: Nothing is left.
    """
    left = remaining()
    if left is None:
        return cap_seconds
    if left <= 0:
        raise DeadlineTooShort
    return min(cap_seconds, left)


@asynccontextmanager
async def within(cap_seconds: float) -> AsyncIterator[None]:
    """Run the block under `budget(cap_seconds)`; calls from inside see the shorter deadline.

    Args:
        cap_seconds: The most that the block may take.

    Raises:
        DeadlineTooShort: The block was not done in time.
    """
    seconds = budget(cap_seconds)
    token = _deadline.set(time.monotonic() + seconds)
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            yield
    except TimeoutError as exc:
        if scope.expired():
            raise DeadlineTooShort from exc
        raise
    finally:
        _deadline.reset(token)
