"""Sessions of browsers: a key is traded for a random secret in a cookie, which is stored as a digest."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.meshkit import db
from services.meshkit.cache import BoundedCache
from services.meshkit.clock import Clock
from services.meshkit.errors import ApiKeyInvalid
from services.meshkit.identity.caller import Caller
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.token_vault.api_access.errors import (
    KeyRequired,
    KeyRevoked,
    SessionInvalid,
    SessionLimitReached,
    SessionNotFound,
)
from services.token_vault.store import api_keys, audit, sessions
from services.token_vault.store.api_keys import ApiKeyRow
from services.token_vault.store.sessions import SessionFilter, SessionRow
from services.token_vault.store.tenants import Scope

SESSIONS_OF_KEY = 100
_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")
"""The form of a session's secret: `secrets.token_urlsafe` of 32 bytes."""
_CACHED = 10_000
_NOTED_AT_ONCE = 1000


@dataclass(frozen=True)
class SessionLife:
    """How long sessions last.

    Args:
        idle: Without a request.
        whole: However much they are used.
        cached: How long the answer about a session may be reused.
    """

    idle: timedelta
    whole: timedelta
    cached: timedelta


@dataclass(frozen=True)
class _Found:
    """The tables' answer for a digest. A digest without a session is an answer too, and is cached like any other."""

    session: SessionRow | None = None
    key: ApiKeyRow | None = None


class Sessions:
    """Makes, authenticates and ends sessions.

    Args:
        pool: Connections to the database.
        clock: The time.
        life: How long sessions last.
    """

    def __init__(self, pool: db.Pool, clock: Clock, life: SessionLife) -> None:
        self._pool = pool
        self._clock = clock
        self._life = life
        self._cache: BoundedCache[bytes, _Found] = BoundedCache(_CACHED, life.cached.total_seconds(), clock.monotonic)
        self._used: dict[str, datetime] = {}

    @property
    def idle(self) -> timedelta:
        """The time without a request after which a session ends."""
        return self._life.idle

    async def create(self, caller: Caller, presented: str) -> tuple[SessionRow, ApiKeyRow, Secret]:
        """Make a session for the caller's key.

        Args:
            caller: A key; a session is refused, or it would outlive its end.
            presented: The cookie that came along, empty for none. Its session ends: the browser forgets it now.

        Raises:
            KeyRequired: The caller is a session.
            ApiKeyInvalid: The key is no longer good.
            SessionLimitReached: The key has as many sessions as it may have.
        """
        if caller.session_id:
            raise KeyRequired
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            key = await api_keys.get_api_key(connection, caller.key_id)
            if key is None or not key.is_good(now):
                raise ApiKeyInvalid
            row, secret = await self.open(connection, key, presented, now)
        return row, key, secret

    async def open(
        self, connection: db.Connection, key: ApiKeyRow, presented: str, now: datetime
    ) -> tuple[SessionRow, Secret]:
        """Make a session for a good key, in the caller's transaction.

        Raises:
            SessionLimitReached: The key has as many sessions as it may have.
        """
        if await sessions.count_sessions(connection, key.api_key_id, now, self._life.idle) >= SESSIONS_OF_KEY:
            raise SessionLimitReached(metadata={"limit": str(SESSIONS_OF_KEY)})
        await self._end_presented(connection, presented)
        secret = secrets.token_urlsafe(32)
        row = SessionRow(new_id(), _digest(secret), key.api_key_id, now, now, self._end(key, now))
        await sessions.insert_session(connection, row)
        await audit.append(connection, _entry("session.create", key.api_key_id, row.session_id, now))
        return row, Secret(secret)

    async def authenticate(self, secret: str) -> tuple[SessionRow, ApiKeyRow]:
        """Find the session of a cookie, and its key.

        Raises:
            SessionInvalid: There is none, it has ended, or its key is no longer good; the failure does not say which.
            StoreUnavailable: The database did not answer.
        """
        found = await self._found(_digest(secret)) if _SHAPE.fullmatch(secret) else _Found()
        now = self._clock.now()
        if found.session is None or found.key is None or not self._is_alive(found.session, found.key, now):
            raise SessionInvalid
        self._used[found.session.session_id] = now
        return found.session, found.key

    async def read(self, session_id: str) -> SessionRow:
        """Read a session.

        Raises:
            SessionInvalid: It has ended.
        """
        async with db.connection(self._pool) as connection:
            row = await sessions.get_session(connection, session_id)
        if row is None:
            raise SessionInvalid
        return row

    async def check(self, session_id: str) -> None:
        """Check that a session that opened a stream has not been ended. An open stream counts as use.

        Raises:
            KeyRevoked: The session was ended, or is past its end.
        """
        now = self._clock.now()
        async with db.connection(self._pool) as connection:
            row = await sessions.get_session(connection, session_id)
        if row is None or row.expires_at <= now:
            raise KeyRevoked
        self._used[session_id] = now

    async def end(self, caller: Caller, *, everywhere: bool) -> int:
        """End the caller's session, or all of its key. Safe to call again: yes.

        Returns:
            How many sessions ended.
        """
        async with db.transaction(self._pool) as connection:
            if everywhere:
                ended = await sessions.end_sessions_of(connection, caller.key_id)
            else:
                ended = await sessions.end_session(connection, caller.session_id) if caller.session_id else 0
            if ended:
                which = "all" if everywhere else caller.session_id
                await audit.append(connection, _entry("session.end", caller.key_id, which, self._clock.now()))
        # This process forgets at once; the others within the age of their answers.
        self._cache.clear()
        return ended

    async def page(
        self, scope: Scope, api_key_id: str, after: tuple[str, str] | None, limit: int
    ) -> list[tuple[SessionRow, str]]:
        """List living sessions with the names of their keys, `limit` at most."""
        wanted = SessionFilter(scope, self._clock.now(), self._life.idle, api_key_id=api_key_id)
        async with db.connection(self._pool) as connection:
            return await sessions.list_sessions(connection, wanted, after, limit)

    async def revoke(self, caller: Caller, session_id: str) -> tuple[SessionRow, str]:
        """End a session that the caller may see.

        Returns:
            The session that has ended, and the name of its key.

        Raises:
            SessionNotFound: There is none, it has ended, or its key is wider than the caller.
        """
        wanted = SessionFilter(caller.tenants, self._clock.now(), self._life.idle, session_id=session_id)
        async with db.transaction(self._pool) as connection:
            found = await sessions.list_sessions(connection, wanted, None, 1)
            if not found or not await sessions.end_session(connection, session_id):
                raise SessionNotFound(resource=session_id, metadata={"session_id": session_id})
            await audit.append(connection, _entry("session.end", caller.key_id, session_id, wanted.now))
        self._cache.clear()
        return found[0]

    async def note_used(self) -> int:
        """Store the times of last use that have come in since the previous call. For a loop."""
        noted = {session_id: self._used[session_id] for session_id in list(self._used)[:_NOTED_AT_ONCE]}
        if noted:
            async with db.transaction(self._pool) as connection:
                await sessions.note_used(connection, noted)
        self._used = {session_id: at for session_id, at in self._used.items() if noted.get(session_id) != at}
        return 0

    def _is_alive(self, session: SessionRow, key: ApiKeyRow, now: datetime) -> bool:
        last = max(session.last_used_at, self._used.get(session.session_id, session.last_used_at))
        return now < session.expires_at and now - last < self._life.idle and key.is_good(now)

    def _end(self, key: ApiKeyRow, now: datetime) -> datetime:
        end = now + self._life.whole
        return end if key.expires_at is None else min(end, key.expires_at)

    async def _end_presented(self, connection: db.Connection, presented: str) -> None:
        if _SHAPE.fullmatch(presented):
            before = await sessions.find_session(connection, _digest(presented))
            if before is not None:
                await sessions.end_session(connection, before.session_id)
                self._cache.discard(before.digest)

    async def _found(self, digest: bytes) -> _Found:
        found = self._cache.get(digest)
        if found is None:
            read_at = self._clock.monotonic()
            async with db.connection(self._pool) as connection:
                session = await sessions.find_session(connection, digest)
                key = await api_keys.get_api_key(connection, session.api_key_id) if session else None
            found = _Found(session, key)
            self._cache.put(digest, found, read_at)
        return found


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _entry(action: str, api_key_id: str, session: str, now: datetime) -> audit.Entry:
    return audit.Entry(f"key:{api_key_id}", action, now, detail={"session_id": session})
