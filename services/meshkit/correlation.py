"""The id that ties together everything that happens because of one thing."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from services.meshkit.ids import is_id, new_id

HEADER = "x-request-id"

_correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")


def correlation_id() -> str:
    """The id of what runs here; empty outside of any call or job."""
    return _correlation_id.get()


def accept_correlation_id(offered: str = "") -> str:
    """Set the correlation id of this task from here on.

    Args:
        offered: The id that came with the call or job. If it is no UUID, a new id takes its place.

    Returns:
        The id in force.
    """
    accepted = offered.lower() if is_id(offered) else new_id()
    _correlation_id.set(accepted)
    return accepted


@contextmanager
def correlated(offered: str = "") -> Iterator[str]:
    """Run the block under an id, and restore the previous id behind it."""
    token = _correlation_id.set(offered if is_id(offered) else new_id())
    try:
        yield _correlation_id.get()
    finally:
        _correlation_id.reset(token)
