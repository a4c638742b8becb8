"""Sealed tokens: claim a refresh, store its result, and destroy them.

A refresh is claimed by an owner until a time. Every write of a refresh is conditional on the claim and on the version
that it was made for. So a process that lost its claim, or was overtaken by a reconnect, writes nothing.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.meshkit.db import Connection, affected
from services.token_vault.store.tenants import ACTIVE, DELEGATED, DISABLED, ERROR

REFRESHED_STATUSES = (ACTIVE, DISABLED, ERROR)


@dataclass(frozen=True)
class NewSealedTokens:
    """The tokens of a connect or a refresh, sealed, for the store.

    Args:
        refresh_expires_at: When the grant ends. A connect knows it; a refresh has None, which keeps the stored time.
    """

    data_key_id: str
    access_token: bytes = field(repr=False)
    refresh_token: bytes = field(repr=False)
    scopes: tuple[str, ...]
    expires_at: datetime
    refresh_expires_at: datetime | None
    refreshed_at: datetime
    next_refresh_at: datetime

    def columns(self) -> tuple[object, ...]:
        """Return the values in the order in which the statements below number them, from `$2` on."""
        return (
            self.data_key_id,
            self.access_token,
            self.refresh_token,
            list(self.scopes),
            self.expires_at,
            self.refresh_expires_at,
            self.refreshed_at,
            self.next_refresh_at,
        )


# A fresh token ends the claim, and with it the failures of the one before.
_STORE_REFRESHED = """
UPDATE vault.tenant_tokens
SET data_key_id = $2, access_token = $3, refresh_token = $4, scopes = $5, expires_at = $6,
  refresh_expires_at = coalesce($7, refresh_expires_at), last_refreshed_at = $8, next_refresh_at = $9,
  version = version + 1, refresh_owner = NULL, refresh_until = NULL, refresh_failures = 0, refresh_not_before = NULL,
  last_refresh_error = ''
WHERE tenant_id = $1 AND version = $10 AND refresh_owner = $11
"""
_PUT = """
INSERT INTO vault.tenant_tokens AS o
  (tenant_id, token_type, data_key_id, access_token, refresh_token, scopes, expires_at, refresh_expires_at,
   last_refreshed_at, next_refresh_at)
VALUES ($1, $10, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (tenant_id) DO UPDATE
SET token_type = excluded.token_type, data_key_id = excluded.data_key_id, access_token = excluded.access_token,
  refresh_token = excluded.refresh_token,
  scopes = excluded.scopes, expires_at = excluded.expires_at, refresh_expires_at = excluded.refresh_expires_at,
  last_refreshed_at = excluded.last_refreshed_at, next_refresh_at = excluded.next_refresh_at,
  version = o.version + 1, refresh_owner = NULL, refresh_until = NULL, refresh_failures = 0, refresh_not_before = NULL,
  last_refresh_error = ''
"""
_CLAIM = """
UPDATE vault.tenant_tokens SET refresh_owner = $3, refresh_until = $5
WHERE tenant_id = $1 AND version = $2 AND (refresh_until IS NULL OR refresh_until < $4)
"""
_END_CLAIM = """
UPDATE vault.tenant_tokens
SET refresh_owner = NULL, refresh_until = NULL, last_refresh_error = $4,
  refresh_not_before = coalesce($5, refresh_not_before), refresh_failures = coalesce($6, refresh_failures)
WHERE tenant_id = $1 AND version = $2 AND refresh_owner = $3
"""
_IS_LIMITED = "SELECT refresh_expires_at IS NOT NULL FROM vault.tenant_tokens WHERE tenant_id = $1"
_DESTROY_TOKENS = "DELETE FROM vault.tenant_tokens WHERE tenant_id = $1"
_DESTROY_KEY = "DELETE FROM vault.tenant_keys WHERE tenant_id = $1"
_OLDEST_DUE = """
SELECT min(o.next_refresh_at) FROM vault.tenant_tokens o JOIN vault.tenants t USING (tenant_id)
WHERE t.status = ANY($2::text[]) AND t.grant_fault = '' AND o.next_refresh_at <= $1
"""


async def claim(
    connection: Connection, tenant_id: str, version: int, owner: str, now: datetime, lease: timedelta
) -> bool:
    """Claim the refresh of one tenant's token.

    Returns:
        False when another process has claimed it, or the version is not the current one.
    """
    return affected(await connection.execute(_CLAIM, tenant_id, version, owner, now, now + lease)) == 1


async def store_refreshed(
    connection: Connection, tenant_id: str, version: int, owner: str, new: NewSealedTokens
) -> bool:
    """Store the tokens of a refresh.

    Returns:
        False when the claim was lost; nothing is written then.
    """
    return affected(await connection.execute(_STORE_REFRESHED, tenant_id, *new.columns(), version, owner)) == 1


async def end_claim(
    connection: Connection,
    tenant_id: str,
    version: int,
    owner: str,
    *,
    error: str,
    not_before: datetime | None = None,
    failures: int | None = None,
) -> bool:
    """Give a claim back without new tokens.

    Args:
        connection: A connection to the database.
        tenant_id: The tenant.
        version: As it was claimed.
        owner: The process that claimed it.
        error: The failure, as `last_refresh_error` keeps it.
        not_before: The earliest time of the next refresh; None keeps the stored one.
        failures: Failures in a row; None keeps the stored number.

    Returns:
        False when the claim was lost; nothing is written then.
    """
    done = await connection.execute(_END_CLAIM, tenant_id, version, owner, error, not_before, failures)
    return affected(done) == 1


async def was_limited_in_time(connection: Connection, tenant_id: str) -> bool:
    """Tell whether the provider limited the grant in time from the beginning."""
    return bool(await connection.fetchval(_IS_LIMITED, tenant_id))


async def put_tokens(connection: Connection, tenant_id: str, new: NewSealedTokens, token_type: str = DELEGATED) -> None:
    """Store the tokens of a connect. A refresh that runs for the tokens before can no longer write."""
    await connection.execute(_PUT, tenant_id, *new.columns(), token_type)


async def destroy(connection: Connection, tenant_id: str) -> None:
    """Delete a tenant's tokens and its data key. Safe to call again."""
    await connection.execute(_DESTROY_TOKENS, tenant_id)
    await connection.execute(_DESTROY_KEY, tenant_id)


async def oldest_due(connection: Connection, now: datetime) -> datetime | None:
    """Return since when the oldest refresh has been due, or None when none is due."""
    since: datetime | None = await connection.fetchval(_OLDEST_DUE, now, list(REFRESHED_STATUSES))
    return since
