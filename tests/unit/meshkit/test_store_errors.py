"""The meaning of PostgreSQL's failures, as far as it needs no database."""

import asyncpg
import pytest
from asyncpg.exceptions import ClientConfigurationError, OutdatedSchemaCacheError
from asyncpg.exceptions._base import DataError as RefusedValue

from services.meshkit.db_errors import Meaning, meaning_of, store_errors
from services.meshkit.errors import Conflict, StoreUnavailable

DEAD, CANNOT, AGAIN, STATEMENT = Meaning


def with_state(state: str) -> asyncpg.PostgresError:
    """Make the exception that asyncpg makes of a server's answer with this SQLSTATE."""
    return asyncpg.PostgresError.new({"C": state, "M": "from the server"})


@pytest.mark.parametrize(
    ("meaning", "states"),
    [
        # Failover and shutdown: the connection leads to a server that no longer exists, or no longer the primary.
        (DEAD, "08000 08001 08003 08004 08006 08P01 57P01 57P02 57P04 57P05 25006 25P03 25P04"),
        # A pooler exchanged the server; the server broke; a file of it cannot be read.
        (DEAD, "26000 42P05 XX000 58000 58030 58P01"),
        # Starting, recovering, stopping; out of slots, memory, disk; cancelled; not let in; no right.
        (CANNOT, "57P03 57000 57014 53000 53100 53200 53300 53400 28000 28P01 3D000 42501 55000 F0001 40003"),
        (AGAIN, "40000 40001 40P01 55P03 55006 72000"),
        (STATEMENT, "23505 23503 42P01 42601 22P02 22021 40002 25001 25P01 25P02 0A000 55P02 54000 P0001 XX001 XX002"),
    ],
)
def test_a_state_has_one_meaning(meaning: Meaning, states: str) -> None:
    assert dict.fromkeys(states.split(), meaning) == {state: meaning_of(with_state(state)) for state in states.split()}


@pytest.mark.parametrize(
    ("meaning", "exc"),
    [
        (DEAD, asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")),
        (STATEMENT, asyncpg.InternalClientError("cannot switch to state 11; another operation (12) is in progress")),
        (DEAD, asyncpg.ProtocolError("unexpected message")),
        (DEAD, asyncpg.InvalidCachedStatementError("cached plan must not change result type")),
        (DEAD, OutdatedSchemaCacheError("cached types are outdated")),
        (CANNOT, asyncpg.TargetServerAttributeNotMatched("none of the hosts")),
        (DEAD, asyncpg.InterfaceError("connection is closed")),
        (DEAD, asyncpg.InterfaceError("cannot call fetch(): connection has been released back to the pool")),
        (STATEMENT, asyncpg.InterfaceError("cannot perform operation: another operation is in progress")),
        # A value that a caller gave, in the message, is no sign of a lost connection.
        (STATEMENT, RefusedValue("invalid input for query argument $1: 'closed and released'")),
        (STATEMENT, ClientConfigurationError("closed")),
        (DEAD, ConnectionResetError()),
        (CANNOT, TimeoutError()),
    ],
)
def test_an_exception_without_a_state_has_one_meaning(meaning: Meaning, exc: Exception) -> None:
    assert meaning is meaning_of(exc)


@pytest.mark.parametrize(
    ("state", "error"), [("25006", StoreUnavailable), ("53300", StoreUnavailable), ("40001", Conflict)]
)
def test_a_meaning_becomes_a_failure_that_callers_can_act_on(state: str, error: type[Exception]) -> None:
    with pytest.raises(error) as raised, store_errors():
        raise with_state(state)

    assert meaning_of(with_state(state)) is meaning_of(raised.value)


def test_the_fault_of_a_statement_passes_unchanged() -> None:
    with pytest.raises(asyncpg.UniqueViolationError), store_errors():
        raise with_state("23505")
