"""The sessions of browsers, as digests. An ended session has no row."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

from services.meshkit.db import Connection, affected
from services.token_vault.store.statements import Parameters, where
from services.token_vault.store.tenants import Scope


@dataclass(frozen=True)
class SessionRow:
    """A session without its secret."""

    session_id: str
    digest: bytes = field(repr=False)
    api_key_id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class SessionFilter:
    """Which sessions to read.

    Args:
        scope: Only those of keys that are limited to tenants among these; None means those of all keys.
        now: Only those that have not ended by this time.
        idle: The time without a request after which a session ends.
        api_key_id: Only those of this key; empty means all.
        session_id: Only this one; empty means all.
    """

    scope: Scope
    now: datetime
    idle: timedelta
    api_key_id: str = ""
    session_id: str = ""


_FIELDS = tuple(field.name for field in fields(SessionRow))
_INSERT = """
INSERT INTO vault.sessions (session_id, digest, api_key_id, created_at, last_used_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_SELECT = """
SELECT session_id::text AS session_id, digest, api_key_id::text AS api_key_id, created_at, last_used_at, expires_at
FROM vault.sessions
"""
_LIST = """
SELECT s.session_id::text AS session_id, s.digest, s.api_key_id::text AS api_key_id, s.created_at, s.last_used_at,
  s.expires_at, k.display_name
FROM vault.sessions s JOIN vault.api_keys k USING (api_key_id)
"""
_OF_DIGEST = f"{_SELECT} WHERE digest = $1"
_GET = f"{_SELECT} WHERE session_id = $1"
# Two that sign in with one key at once wait for each other here, so that neither passes the limit.
_LOCK_KEY = "SELECT 1 FROM vault.api_keys WHERE api_key_id = $1 FOR NO KEY UPDATE"
_COUNT = "SELECT count(*) FROM vault.sessions WHERE api_key_id = $1 AND expires_at > $2 AND last_used_at > $3"
_END = "DELETE FROM vault.sessions WHERE session_id = $1"
_END_OF_KEY = "DELETE FROM vault.sessions WHERE api_key_id = $1"
_END_ALL = "DELETE FROM vault.sessions"
_NOTE_USED = "UPDATE vault.sessions SET last_used_at = $2 WHERE session_id = $1 AND last_used_at < $2"
_PRUNE = "DELETE FROM vault.sessions WHERE expires_at <= $1 OR last_used_at <= $2"


async def insert_session(connection: Connection, session: SessionRow) -> None:
    """Add a session."""
    await connection.execute(_INSERT, *(getattr(session, name) for name in _FIELDS))


async def find_session(connection: Connection, digest: bytes) -> SessionRow | None:
    """Read a session by the digest of its secret."""
    found = await connection.fetchrow(_OF_DIGEST, digest)
    return None if found is None else SessionRow(**found)


async def get_session(connection: Connection, session_id: str) -> SessionRow | None:
    """Read a session by its id."""
    found = await connection.fetchrow(_GET, session_id)
    return None if found is None else SessionRow(**found)


async def list_sessions(
    connection: Connection, wanted: SessionFilter, after: tuple[str, str] | None, limit: int
) -> list[tuple[SessionRow, str]]:
    """List living sessions of good keys with the names of their keys, by `created_at`, oldest first.

    Args:
        connection: A connection to the database.
        wanted: Which sessions to read.
        after: `created_at` in ISO form and id of the last session on the page before.
        limit: The most to return.
    """
    parameters = Parameters()
    now = parameters.add(wanted.now)
    conditions = [
        f"s.expires_at > {now} AND s.last_used_at > {parameters.add(wanted.now - wanted.idle)}",
        f"k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > {now})",
    ]
    if wanted.scope is not None:
        scope = parameters.add(sorted(wanted.scope))
        conditions.append(f"cardinality(k.tenant_ids) > 0 AND k.tenant_ids <@ {scope}::uuid[]")
    if wanted.api_key_id:
        conditions.append(f"s.api_key_id = {parameters.add(wanted.api_key_id)}")
    if wanted.session_id:
        conditions.append(f"s.session_id = {parameters.add(wanted.session_id)}")
    if after is not None:
        created_at, session_id = parameters.add(datetime.fromisoformat(after[0])), parameters.add(after[1])
        conditions.append(f"(s.created_at, s.session_id) > ({created_at}::timestamptz, {session_id}::uuid)")
    text = f"{_LIST}{where(conditions)} ORDER BY s.created_at, s.session_id LIMIT {parameters.add(limit)}"
    return [
        (SessionRow(*(found[name] for name in _FIELDS)), found["display_name"])
        for found in await connection.fetch(text, *parameters.values)
    ]


async def count_sessions(connection: Connection, api_key_id: str, now: datetime, idle: timedelta) -> int:
    """Count the living sessions of a key. The number holds until the transaction ends."""
    await connection.execute(_LOCK_KEY, api_key_id)
    return int(await connection.fetchval(_COUNT, api_key_id, now, now - idle))


async def end_session(connection: Connection, session_id: str) -> int:
    """End a session; return 1, or 0 when it had ended before."""
    return affected(await connection.execute(_END, session_id))


async def end_sessions_of(connection: Connection, api_key_id: str) -> int:
    """End all sessions of a key, and return their number."""
    return affected(await connection.execute(_END_OF_KEY, api_key_id))


async def end_all_sessions(connection: Connection) -> int:
    """End the sessions of all keys, and return their number."""
    return affected(await connection.execute(_END_ALL))


async def note_used(connection: Connection, used: Mapping[str, datetime]) -> None:
    """Record the last use of sessions, in the order of their ids."""
    await connection.executemany(_NOTE_USED, sorted(used.items()))


async def prune_sessions(connection: Connection, now: datetime, idle: timedelta) -> int:
    """Delete sessions that are past their end, or were idle for too long."""
    return affected(await connection.execute(_PRUNE, now, now - idle))
