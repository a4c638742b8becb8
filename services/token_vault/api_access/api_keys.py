"""API keys: `mm_<prefix>_<secret>`, shown once, stored as a digest, never wider than the key that made them."""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass, replace
from datetime import datetime

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import ApiKeyInvalid, FieldInvalid
from services.meshkit.header_bounds import KEY_TENANTS
from services.meshkit.identity.caller import ALL_ABILITIES, DEFAULT_ABILITIES, Caller, Role
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.meshkit.text import name_fault
from services.token_vault.abilities import checked_abilities
from services.token_vault.api_access.errors import ApiKeyNotFound, KeyRevoked, LastAdminKey, RequestIdReused
from services.token_vault.errors import ScopeTooWide, TenantNotFound
from services.token_vault.store import api_keys, audit
from services.token_vault.store.api_keys import ApiKeyRow
from services.token_vault.store.tenants import Scope

_ALPHABET = string.ascii_letters + string.digits
_PREFIX_CHARACTERS, _SECRET_CHARACTERS = 10, 43  # 43 characters out of 62 are more than 256 bits
SHAPE = re.compile(rf"mm_([A-Za-z0-9]{{{_PREFIX_CHARACTERS}}})_[A-Za-z0-9]{{{_SECRET_CHARACTERS}}}")
_NAME_CHARACTERS = 200
_MAX_ABILITIES = 20


@dataclass(frozen=True)
class NewKey:
    """A request for a new key.

    Args:
        display_name: Its name for people.
        role: Its role.
        tenant_ids: The tenants that it is limited to; empty means all.
        expires_at: When it ends; None for never, or for the end of the key that asks.
        request_id: Makes the request safe to repeat; empty for none.
        content: Digest of the request, to recognize a repetition.
        abilities: Its abilities; `*` alone means all. Empty takes the default of its role.
    """

    display_name: str
    role: Role
    tenant_ids: frozenset[str]
    expires_at: datetime | None
    request_id: str = ""
    content: bytes = b""
    abilities: tuple[str, ...] = ()


class ApiKeys:
    """Creates, lists and revokes keys.

    Args:
        pool: Connections to the database.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def create(self, caller: Caller, wanted: NewKey) -> tuple[ApiKeyRow, Secret | None]:
        """Create a key.

        Returns:
            The key and its secret; no secret when the request id was used before.

        Raises:
            FieldInvalid: The name, the role, the tenants, the abilities or the end is not valid.
            AbilityUnknown: This version does not have an ability.
            ScopeTooWide: The request exceeds the caller's own rights.
            TenantNotFound: A tenant does not exist, or the caller may not see it.
            RequestIdReused: The request id was used for another request.
        """
        now = self._clock.now()
        _check(wanted, now)
        wanted = replace(wanted, abilities=_abilities(wanted))
        limits = await self._limits(caller)
        wanted = _narrowed(caller, limits, wanted)
        row, secret = made_key(wanted, caller.key_id, now)
        async with db.transaction(self._pool) as connection:
            if wanted.request_id:
                before = await api_keys.remember_request(
                    connection, caller.key_id, wanted.request_id, wanted.content, row.api_key_id, now
                )
                if before is not None:
                    return await self._repeated(before, wanted), None
            known = await api_keys.known_tenants(connection, wanted.tenant_ids)
            for unknown in sorted(wanted.tenant_ids - known):
                raise TenantNotFound.of(unknown)
            await api_keys.insert_api_key(connection, row)
            await audit.append(connection, _entry(f"key:{caller.key_id}", "api_key.create", row, now))
        return row, secret

    async def create_admin(self, display_name: str, actor: str) -> tuple[ApiKeyRow, Secret]:
        """Create an unlimited admin key: for the command line, which has no key to ask with yet."""
        now = self._clock.now()
        wanted = NewKey(display_name, Role.ADMIN, frozenset(), None, abilities=(ALL_ABILITIES,))
        row, secret = made_key(wanted, actor, now)
        async with db.transaction(self._pool) as connection:
            await api_keys.insert_api_key(connection, row)
            await audit.append(connection, _entry(actor, "api_key.create", row, now))
        return row, secret

    async def page(
        self, scope: Scope, after: tuple[str, str] | None, limit: int, *, include_revoked: bool
    ) -> list[ApiKeyRow]:
        """List keys in order, `limit` at most."""
        only_good_at = None if include_revoked else self._clock.now()
        async with db.connection(self._pool) as connection:
            return await api_keys.list_api_keys(connection, scope, after, limit, only_good_at)

    async def revoke(self, caller: Caller, api_key_id: str) -> ApiKeyRow:
        """Revoke a key. Safe to call again: yes.

        Raises:
            ApiKeyNotFound: The key does not exist, or is wider than the caller.
            LastAdminKey: No other admin key without limits lasts as long.
        """
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            row = await api_keys.get_api_key(connection, api_key_id)
            if row is None or not _is_within(row.scope, caller.tenants):
                raise ApiKeyNotFound(resource=api_key_id, metadata={"api_key_id": api_key_id})
            is_admin = row.role == Role.ADMIN.label and row.is_unlimited and row.is_good(now)
            if is_admin and not await api_keys.has_other_admin(connection, row, now):
                raise LastAdminKey(subject=api_key_id, metadata={"api_key_id": api_key_id})
            if await api_keys.revoke_api_key(connection, api_key_id, now):
                await audit.append(connection, _entry(f"key:{caller.key_id}", "api_key.revoke", row, now))
                row = replace(row, revoked_at=now)
        return row

    async def check(self, api_key_id: str) -> ApiKeyRow:
        """Check that a key that opened a stream is still valid.

        Raises:
            KeyRevoked: The key was revoked or has expired.
        """
        async with db.connection(self._pool) as connection:
            row = await api_keys.get_api_key(connection, api_key_id)
        if row is None or not row.is_good(self._clock.now()):
            raise KeyRevoked
        return row

    async def _limits(self, caller: Caller) -> ApiKeyRow:
        """Return the current state of the key that asks."""
        async with db.connection(self._pool) as connection:
            row = await api_keys.get_api_key(connection, caller.key_id)
        if row is None or not row.is_good(self._clock.now()):
            raise ApiKeyInvalid
        return row

    async def _repeated(self, before: tuple[bytes, str], wanted: NewKey) -> ApiKeyRow:
        digest, api_key_id = before
        async with db.connection(self._pool) as connection:
            row = await api_keys.get_api_key(connection, api_key_id)
        if row is None or not hmac.compare_digest(digest, wanted.content):
            raise RequestIdReused(
                violations={"request_id": "was used for another request"}, metadata={"request_id": wanted.request_id}
            )
        return row


def _check(wanted: NewKey, now: datetime) -> None:
    faults = {}
    if fault := name_fault(wanted.display_name, _NAME_CHARACTERS, least=1):
        faults["display_name"] = fault
    if wanted.role is Role.NONE:
        faults["role"] = "must be reader, operator or admin"
    if len(wanted.tenant_ids) > KEY_TENANTS:
        faults["tenant_ids"] = f"must be {KEY_TENANTS} at most"
    if wanted.expires_at is not None and wanted.expires_at <= now:
        faults["expires_at"] = "must be in the future"
    if len(wanted.abilities) > _MAX_ABILITIES:
        faults["abilities"] = f"must be {_MAX_ABILITIES} at most"
    if faults:
        raise FieldInvalid(violations=faults)


def _abilities(wanted: NewKey) -> tuple[str, ...]:
    """Return the abilities of a new key. Without any named, only an admin gets all: others read, as keys always did."""
    if set(wanted.abilities) == {ALL_ABILITIES} or (not wanted.abilities and wanted.role is Role.ADMIN):
        return (ALL_ABILITIES,)
    return checked_abilities(wanted.abilities or DEFAULT_ABILITIES)


def _narrowed(caller: Caller, limits: ApiKeyRow, wanted: NewKey) -> NewKey:
    """Refuse a request that exceeds the key that asks; an open end becomes that key's end."""
    if wanted.role > caller.role:
        raise ScopeTooWide(metadata={"field": "role"})
    if not _is_within(wanted.tenant_ids or None, caller.tenants):
        raise ScopeTooWide(metadata={"field": "tenant_ids"})
    if limits.abilities != (ALL_ABILITIES,) and not set(wanted.abilities) <= set(limits.abilities):
        raise ScopeTooWide(metadata={"field": "abilities"})
    if limits.expires_at is not None and wanted.expires_at is not None and wanted.expires_at > limits.expires_at:
        raise ScopeTooWide(metadata={"field": "expires_at"})
    return replace(wanted, expires_at=wanted.expires_at or limits.expires_at)


def _is_within(inner: Scope, outer: Scope) -> bool:
    return outer is None or (inner is not None and inner <= outer)


def made_key(wanted: NewKey, created_by: str, now: datetime) -> tuple[ApiKeyRow, Secret]:
    """Make a key with a random secret. It is not stored yet."""
    prefix = "".join(secrets.choice(_ALPHABET) for _ in range(_PREFIX_CHARACTERS))
    key = f"mm_{prefix}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_CHARACTERS))
    row = ApiKeyRow(
        api_key_id=new_id(),
        display_name=wanted.display_name,
        prefix=prefix,
        digest=hashlib.sha256(key.encode()).digest(),
        role=wanted.role.label,
        tenant_ids=tuple(sorted(wanted.tenant_ids)),
        created_at=now,
        expires_at=wanted.expires_at,
        last_used_at=None,
        revoked_at=None,
        created_by=created_by,
        abilities=wanted.abilities,
    )
    return row, Secret(key)


def _entry(actor: str, action: str, row: ApiKeyRow, now: datetime) -> audit.Entry:
    facts = {
        "api_key_id": row.api_key_id,
        "role": row.role,
        "tenants": str(len(row.tenant_ids) or "all"),
        "abilities": " ".join(row.abilities),
    }
    return audit.Entry(actor, action, now, detail=facts)
