"""Give a person who has signed in a session, and their agents a key, with the rights of their groups.

A key without a known secret stands for each person, so that roles, abilities, limits, audit log and revoking work as
for every key. Its rights are those of the newest token: an older one does not bring back the rights of then. Tokens
from before a revoking stay refused, also once the person has another key.
"""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.secret import Secret
from services.token_vault.api_access.api_keys import NewKey, made_key
from services.token_vault.api_access.sessions import Sessions
from services.token_vault.issuers.id_tokens import SKEW_SECONDS
from services.token_vault.sign_in.errors import AccessTokenInvalid, SignInNotAllowed
from services.token_vault.sign_in.provider import Person
from services.token_vault.sign_in.rights import GroupRights, Rights
from services.token_vault.store import api_keys, audit, people, sessions
from services.token_vault.store.api_keys import ApiKeyRow
from services.token_vault.store.people import PersonRow
from services.token_vault.store.sessions import SessionRow

logger = structlog.get_logger(__name__)

ACTOR = "sign-in"
_SKEW = timedelta(seconds=SKEW_SECONDS)


class People:
    """Signs people in.

    Args:
        pool: Connections to the database.
        sessions: Makes their sessions.
        rights: The rights of groups.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, sessions: Sessions, rights: GroupRights, clock: Clock) -> None:
        self._pool = pool
        self._sessions = sessions
        self._rights = rights
        self._clock = clock

    async def sign_in(self, person: Person, presented: str) -> tuple[SessionRow, Secret]:
        """Make a session for a person.

        Args:
            person: The person, as the identity provider proved.
            presented: The session cookie that came along, empty for none. Its session ends.

        Raises:
            SignInNotAllowed: No group of the person has rights. Their sessions have ended.
            SessionLimitReached: The person has as many sessions as a key may have.
        """
        rights = self._rights.of(person.groups)
        if rights is None:
            await self._refuse(person)
            raise _not_allowed(person)
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            known = await people.lock_person(connection, _digest(person))
            key = await api_keys.get_api_key(connection, known.api_key_id) if known else None
            key = await self._prove(connection, key, person, rights, now)
            row, secret = await self._sessions.open(connection, key, presented, now)
        logger.info("person signed in", api_key_id=key.api_key_id)
        return row, secret

    async def key_of(self, person: Person) -> ApiKeyRow:
        """Return the good key that stands for a person whose agent presents an access token. Safe to call again.

        Raises:
            AccessTokenInvalid: A key of the person was revoked after the token was issued, by any clock that the check
                of times tolerates.
            SignInNotAllowed: No group of the person has rights, or a newer token says so.
        """
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            known = await people.lock_person(connection, _digest(person))
            key = await api_keys.get_api_key(connection, known.api_key_id) if known else None
            revoked_at = _revoked_at(known, key)
            if revoked_at is not None and person.issued_at <= revoked_at + _SKEW:
                raise AccessTokenInvalid(metadata={"detail": "revoked"})
            if known is not None and key is not None and key.is_good(now) and person.issued_at < known.proven_at:
                if known.is_refused:
                    raise _not_allowed(person)
                return key
            rights = self._rights.of(person.groups)
            if rights is not None:
                return await self._prove(connection, key, person, rights, now)
        await self._refuse(person)
        raise _not_allowed(person)

    async def _prove(
        self, connection: db.Connection, key: ApiKeyRow | None, person: Person, rights: Rights, now: datetime
    ) -> ApiKeyRow:
        """Give the person's key the rights of a token; without a good one, make another."""
        not_before = key.revoked_at if key is not None else None
        if key is None or not key.is_good(now):
            key = await self._insert(connection, person, rights, now)
        else:
            key = await self._grant(connection, key, person, rights, now)
        await people.put_person(connection, _digest(person), key.api_key_id, person.issued_at, not_before)
        return key

    async def _insert(self, connection: db.Connection, person: Person, rights: Rights, now: datetime) -> ApiKeyRow:
        wanted = NewKey(_name(person), rights.role, frozenset(), None, abilities=rights.abilities)
        # The secret is forgotten at once: only sessions stand for this key.
        key, _ = made_key(wanted, ACTOR, now)
        await api_keys.insert_api_key(connection, key)
        await audit.append(connection, _entry("api_key.create", key, now))
        return key

    async def _grant(
        self, connection: db.Connection, key: ApiKeyRow, person: Person, rights: Rights, now: datetime
    ) -> ApiKeyRow:
        granted = replace(key, display_name=_name(person), role=rights.role.label, abilities=rights.abilities)
        if await people.grant(connection, key.api_key_id, granted.display_name, granted.role, granted.abilities):
            await audit.append(connection, _entry("api_key.change", granted, now))
        return granted

    async def _refuse(self, person: Person) -> None:
        """Record that a person has lost all groups, and end their sessions, unless a newer token is known."""
        async with db.transaction(self._pool) as connection:
            known = await people.lock_person(connection, _digest(person))
            if known is None:
                return
            if not await people.refuse_person(connection, _digest(person), person.issued_at):
                return
            if await sessions.end_sessions_of(connection, known.api_key_id):
                facts = {"api_key_id": known.api_key_id, "session_id": "all"}
                await audit.append(connection, audit.Entry(ACTOR, "session.end", self._clock.now(), detail=facts))


def _revoked_at(known: PersonRow | None, key: ApiKeyRow | None) -> datetime | None:
    """Return when a key of the person was last revoked: the present one, or one that it has replaced."""
    times = (known.not_before if known else None, key.revoked_at if key else None)
    return max((time for time in times if time is not None), default=None)


def _digest(person: Person) -> bytes:
    """Return the digest of the person's id; the issuer's length keeps two pairs apart that read alike."""
    return hashlib.sha256(f"{len(person.issuer)} {person.issuer} {person.subject}".encode()).digest()


def _not_allowed(person: Person) -> SignInNotAllowed:
    return SignInNotAllowed(metadata={"detail": "too_many_groups" if person.has_too_many_groups else "groups"})


def _name(person: Person) -> str:
    return f"{person.name} (signed in)"


def _entry(action: str, key: ApiKeyRow, now: datetime) -> audit.Entry:
    facts = {"api_key_id": key.api_key_id, "role": key.role, "tenants": "all", "abilities": " ".join(key.abilities)}
    return audit.Entry(ACTOR, action, now, detail=facts)
