"""The meaning of PostgreSQL's failures: one table, and the one translation of them into failures of the mesh.

The classes follow Appendix A of PostgreSQL's manual, "PostgreSQL Error Codes". A state that is not in the table is the
fault of our own statement, or a violated constraint: it passes unchanged, because the store knows its meaning.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any

import asyncpg

from services.meshkit.errors import Conflict, MeshError, StoreUnavailable

ClientError = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""The exceptions of asyncpg; it shares no class among them."""

_ENDED_BY_SERVER = "another operation (2) is in progress"
"""asyncpg's message for the state in which it has read an error of the server, and waits for the end of the answer."""


class Meaning(Enum):
    """The consequence of a failure for the connection and for the server."""

    CONNECTION_DEAD = auto()
    """The connection is of no more use, though it may be open: drop it and connect again."""
    SERVER_CANNOT = auto()
    """The connection is good or was never made; the server cannot do it now."""
    AGAIN = auto()
    """Another transaction was in the way: the same block succeeds when it is repeated."""
    STATEMENT = auto()
    """The statement or its values are at fault."""


_DEAD, _CANNOT, _AGAIN, _STATEMENT = Meaning
STATES: Mapping[str, Meaning] = {
    "08": _DEAD,  # connection exception; poolers report a lost server as 08P01
    # A server that has become a standby, or was made read-only. The name of a database that has failed over leads to
    # the new primary, and only a new connection follows it.
    "25006": _DEAD,
    "25P03": _DEAD,  # idle in a transaction for too long, ended by the server
    "25P04": _DEAD,  # transaction timeout, ended by the server
    "26000": _DEAD,  # the prepared statement is gone: a pooler has exchanged the server behind the connection
    "28": _CANNOT,  # not let in: pg_hba.conf, or a password that is being rotated
    "3D000": _CANNOT,  # no such database: it is being restored, or renamed
    "40000": _AGAIN,  # rolled back
    "40001": _AGAIN,  # serialization failure; on a standby: conflict with recovery
    "40003": _CANNOT,  # completion unknown
    "40P01": _AGAIN,  # deadlock
    # No right: also PostgreSQL's word for EROFS, EPERM and EACCES on its own files.
    "42501": _CANNOT,
    "42P05": _DEAD,  # the prepared statement exists already: as 26000
    "53": _CANNOT,  # resources: disk full, out of memory, out of slots
    "55000": _CANNOT,  # not in the state for it: recovery is in progress, the database takes no connections
    "55006": _AGAIN,  # object in use
    "55P03": _AGAIN,  # lock not available
    "57": _CANNOT,  # operator's intervention: cancelled, timed out; 57P03: starting, stopping, recovering
    "57P01": _DEAD,  # shutdown, or ended by an administrator
    "57P02": _DEAD,  # another process of the server has crashed
    "57P04": _DEAD,  # the database was dropped
    "57P05": _DEAD,  # idle for too long
    "58": _DEAD,  # system error: reading or writing a file
    "72000": _AGAIN,  # snapshot too old
    "F0": _CANNOT,  # configuration file
    # The server's own fault, and the answer of several managed services for a server that is not there. Damaged data
    # (XX001, XX002) is not in the table: a retry finds it damaged again, and a person has to see it.
    "XX000": _DEAD,
}
"""By SQLSTATE, or by its first two characters for a whole class; a state goes before its class."""


def meaning_of(exc: BaseException) -> Meaning:
    """Decide the meaning of a failure.

    Args:
        exc: An exception of asyncpg, of the network, or the failure that `store_errors`
            made of one.
    """
    cause = _cause(exc)
    if isinstance(cause, (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)):
        return Meaning.CONNECTION_DEAD  # a table has changed under a prepared plan, and all connections have such plans
    state = str(getattr(cause, "sqlstate", None) or "")
    if state:
        return STATES.get(state) or STATES.get(state[:2]) or Meaning.STATEMENT
    if isinstance(cause, asyncpg.TargetServerAttributeNotMatched):
        return Meaning.SERVER_CANNOT  # it lets us in, and is read-only
    if isinstance(cause, OSError):
        # A TimeoutError is one: the wait for a connection or a statement was too long, and asyncpg cleans up behind it.
        return Meaning.SERVER_CANNOT if isinstance(cause, TimeoutError) else Meaning.CONNECTION_DEAD
    return Meaning.CONNECTION_DEAD if _is_broken(cause) else Meaning.STATEMENT


@contextmanager
def store_errors() -> Iterator[None]:
    """Translate the exceptions that asyncpg or the network raise inside the block.

    Violated constraints and faulty statements pass unchanged: the store knows the meaning of the first, and the second
    are our own fault.

    Raises:
        StoreUnavailable: PostgreSQL is away, read-only, out of resources, or too slow.
        Conflict: A deadlock, a serialization failure, or a lock that was not free in time.
    """
    try:
        yield
    except (OSError, *ClientError) as exc:
        meaning = meaning_of(exc)
        if meaning is Meaning.STATEMENT:
            raise
        raise (Conflict() if meaning is Meaning.AGAIN else StoreUnavailable()) from exc


def _cause(exc: BaseException) -> Any:
    return exc.__cause__ if isinstance(exc, MeshError) and exc.__cause__ is not None else exc


def _is_broken(exc: BaseException) -> bool:
    """Tell a lost connection, which has no SQLSTATE, from a wrong use of one."""
    if isinstance(exc, asyncpg.InternalClientError):
        # A statement that begins after the server's last message, and before the connection is known to be closed.
        return isinstance(exc, asyncpg.ProtocolError) or _ENDED_BY_SERVER in str(exc)
    # asyncpg takes a broken connection away from its holder, and reports that the holder released it. Refused values
    # are ValueErrors besides, and their messages show those values, which may hold any word.
    is_of_values = isinstance(exc, ValueError) or not isinstance(exc, asyncpg.InterfaceError)
    return not is_of_values and any(word in str(exc) for word in ("clos", "released"))
