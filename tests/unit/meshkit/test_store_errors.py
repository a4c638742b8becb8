"""The translation of asyncpg's exceptions that need no database."""

import asyncpg
import pytest

from services.meshkit.db import store_errors
from services.meshkit.errors import StoreUnavailable


def test_a_statement_on_a_connection_that_the_server_has_just_ended_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable), store_errors():
        raise asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")


def test_other_internal_errors_of_the_client_pass_unchanged() -> None:
    with pytest.raises(asyncpg.InternalClientError), store_errors():
        raise asyncpg.InternalClientError("cannot switch to state 11; another operation (12) is in progress")
