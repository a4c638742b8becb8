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
    """Sets the id of what runs in this task from here on.

    Args:
        offered: What came with the call or job. A new id is made when it is no UUID.

    Returns:
        The id in force.
    """
    accepted = offered.lower() if is_id(offered) else new_id()
    _correlation_id.set(accepted)
    return accepted


@contextmanager
def correlated(offered: str = "") -> Iterator[str]:
    """Runs the block under an id and goes back to the one before."""
    token = _correlation_id.set(offered if is_id(offered) else new_id())
    try:
        yield _correlation_id.get()
    finally:
        _correlation_id.reset(token)
