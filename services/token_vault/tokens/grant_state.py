"""Record on a tenant what its provider says about the grant: broken, refused for now, or honoured again."""

from datetime import datetime, timedelta

import structlog

from services.meshkit import db
from services.meshkit.errors import MeshError
from services.token_vault.audit import ITSELF
from services.token_vault.issuers.issuer import GrantError, PassingRefusal
from services.token_vault.issuers.refusals import ADMIN_CONSENT, OWNER_UNAVAILABLE, PASSING_CAUSES
from services.token_vault.store import audit, tokens
from services.token_vault.store.credentials import Credential
from services.token_vault.store.tenants import (
    ACTIVE,
    ERROR,
    NEEDS_REAUTHORIZATION,
    TenantRow,
    change_tenant,
    get_tenant,
)
from services.token_vault.tokens.errors import TenantInError, TenantNeedsReauthorization

logger = structlog.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=1)
_CAUSE_CHARACTERS = 100

_WORDS = {
    "grant_revoked": "The provider reports that the access was revoked, expired or ended by a changed password.",
    "grant_expired": "The access has expired at the provider because it was not used, or was limited in time.",
    "mfa_needed": "The organisation requires another proof of identity (multi-factor authentication).",
    "consent_missing": "The consent for the app is missing.",
    "reauthentication_required": "The organisation's session policy requires the user to sign in again.",
}
_PASSING_WORDS = {
    "conditional_access": "An access policy of the organisation blocks the app; an administrator can change it.",
    ADMIN_CONSENT: "The organisation requires an administrator's consent.",
    OWNER_UNAVAILABLE: "The tenant whose grant opens this shared mailbox gives no token; see its status.",
    "account_disabled": "The account is disabled at the provider; an administrator can enable it.",
    "account_locked": "The account is locked at the provider, or the provider distrusts this installation's address.",
    "account_unknown": "The provider does not find the account; an administrator may restore it.",
    "assignment_missing": "The account is not assigned to the app; an administrator can assign it.",
    "password_expired": "The account's password has expired; its owner can set a new one at the provider.",
    "password_refused": "The provider refuses the account's password.",
    "age_consent_missing": "The account lacks the consent that the provider requires for its age group.",
    "service_not_enabled": "The organisation has not enabled the service, or not for this app.",
    "federation": "The organisation's own identity provider has a fault.",
    "too_many_requests": "The provider has received too many requests of this kind.",
}
_OTHER = "The provider refuses the access without a cause that mailmesh knows."
_TESTING = (
    " Google limited the grant in time, as it does while the app's consent screen is in testing. Publish the app to"
    " Production, or grants end after seven days."
)
_RETRIED = (
    "mailmesh keeps the access and retries it now and then, at least once an hour. Test the connection to retry it now."
)


def sentence(cause: str) -> str:
    """Return a sentence with the cause of a refusal and the remedy."""
    if cause in PASSING_CAUSES:
        return f"{_PASSING_WORDS.get(cause, _OTHER)} {_RETRIED}"
    return f"{_WORDS.get(cause, 'The provider no longer honours the access.')} Connect the account again."


def is_refused(tenant: TenantRow) -> bool:
    """Tell whether the provider refused the tenant's grant, for good or for now, and has not honoured it since.

    The last error alone does not tell: an attempt that got no answer replaces the refusal before it.
    """
    return bool(tenant.grant_fault) or tenant.last_refresh_error in PASSING_CAUSES or _is_stopped(tenant)


def refused(tenant: TenantRow) -> MeshError:
    """Make the failure for a tenant whose grant the provider refused."""
    last = tenant.last_refresh_error or ""
    cause = tenant.grant_fault or (last if last in PASSING_CAUSES else tenant.status_reason)
    error = TenantNeedsReauthorization if tenant.grant_fault else TenantInError
    metadata = {"tenant_id": tenant.tenant_id, "detail": cause}
    return error(sentence(cause), subject=tenant.tenant_id, metadata=metadata)


async def mark_grant_broken(
    connection: db.Connection, tenant_id: str, version: int, owner: str, error: GrantError, now: datetime
) -> bool:
    """Record that a grant is broken, if the stored tokens are still those that the provider refused.

    Args:
        connection: In a transaction.
        tenant_id: The tenant.
        version: The tokens that the provider refused.
        owner: The process that has claimed them.
        error: The provider's answer.
        now: The time.

    Returns:
        False when newer tokens are stored; nothing changes then.
    """
    cause = error.cause[:_CAUSE_CHARACTERS]
    tenant = await get_tenant(connection, tenant_id, None, lock=True)
    limited = await tokens.was_limited_in_time(connection, tenant_id)
    if not await tokens.end_claim(connection, tenant_id, version, owner, error=cause):
        return False
    detail = sentence(cause) + (_TESTING if limited else "")
    values: dict[str, object] = {"grant_fault": cause}
    if tenant.status in {ACTIVE, ERROR, NEEDS_REAUTHORIZATION}:
        values |= {"status": NEEDS_REAUTHORIZATION, "status_reason": cause, "status_detail": detail, "probe_at": None}
    await change_tenant(connection, tenant, now, values)
    await _record(connection, tenant_id, TenantNeedsReauthorization.reason, cause, error.provider_code, now)
    logger.warning("grant is broken", tenant_id=tenant_id, cause=cause, provider_code=error.provider_code)
    return True


async def mark_refused(
    connection: db.Connection, credential: Credential, owner: str, error: PassingRefusal, now: datetime
) -> None:
    """Record a refusal that may pass, and the time of the next attempt, which grows from 15 seconds to an hour.

    Tokens that were replaced meanwhile stay as they are. A tenant whose access token still lasts stays active.

    Args:
        connection: In a transaction.
        credential: The tokens that the provider refused.
        owner: The process that has claimed them.
        error: The provider's answer.
        now: The time.
    """
    cause, sealed = error.cause[:_CAUSE_CHARACTERS], credential.tokens
    tenant = await get_tenant(connection, credential.tenant.tenant_id, None, lock=True)
    failures = (sealed.refresh_failures if sealed else 0) + 1
    not_before, version = now + pause_after(failures), sealed.version if sealed else 0
    is_ours = await tokens.end_claim(
        connection, tenant.tenant_id, version, owner, error=cause, not_before=not_before, failures=failures
    )
    if not is_ours:
        return
    await _record(connection, tenant.tenant_id, TenantInError.reason, cause, error.provider_code, now)
    logger.warning("refresh refused", tenant_id=tenant.tenant_id, cause=cause, provider_code=error.provider_code)
    if tenant.status != ACTIVE or (tenant.expires_at is not None and tenant.expires_at <= now):
        await stop_refused(connection, tenant, cause, not_before, now)


async def stop_refused(
    connection: db.Connection, tenant: TenantRow, cause: str, retry_at: datetime, now: datetime
) -> None:
    """Set the status of a tenant that the provider refuses for now: probes follow until it is honoured again.

    A tenant with another error, or one that an operator stopped, keeps its status.

    Args:
        connection: In a transaction.
        tenant: As it was read under the lock.
        cause: One of `PASSING_CAUSES`.
        retry_at: The time of the next attempt.
        now: The time.
    """
    values: dict[str, object] = {"grant_fault": ""} if tenant.grant_fault else {}
    if tenant.status in {ACTIVE, NEEDS_REAUTHORIZATION}:
        values |= {"probe_at": retry_at, "probe_failures": 0}
    if tenant.status in {ACTIVE, NEEDS_REAUTHORIZATION} or _is_other_cause(tenant, cause):
        values |= {"status": ERROR, "status_reason": cause, "status_detail": sentence(cause)}
    if values:
        await change_tenant(connection, tenant, now, values)


async def mark_honoured(
    connection: db.Connection, tenant: TenantRow, now: datetime, *, has_other_abilities: bool = False
) -> None:
    """Clear the refusal of a tenant whose refresh token works. Other errors stay.

    Args:
        connection: In a transaction.
        tenant: As it was read under the lock.
        now: The time.
        has_other_abilities: The new token grants other abilities than the one before: the log of changes must show it,
            because other services keep a copy of the granted abilities.
    """
    values: dict[str, object] = {"grant_fault": ""} if tenant.grant_fault else {}
    if tenant.status == NEEDS_REAUTHORIZATION or _is_stopped(tenant):
        values |= healthy()
        await audit.append(connection, audit.Entry(ITSELF, "tenant.enable", now, tenant_id=tenant.tenant_id))
    if values or has_other_abilities:
        await change_tenant(connection, tenant, now, values)


def healthy() -> dict[str, object]:
    """Return the columns of a tenant that is active again."""
    return {"status": ACTIVE, "status_reason": "", "status_detail": "", "probe_at": None, "probe_failures": 0}


def pause_after(failures: int) -> timedelta:
    """Return the pause before the next attempt after as many refusals in a row."""
    return min(_FIRST_PAUSE * int(2 ** min(failures - 1, 10)), _LONGEST_PAUSE)


def _is_stopped(tenant: TenantRow) -> bool:
    return tenant.status == ERROR and tenant.status_reason in PASSING_CAUSES


def _is_other_cause(tenant: TenantRow, cause: str) -> bool:
    return _is_stopped(tenant) and tenant.status_reason != cause


async def _record(
    connection: db.Connection, tenant_id: str, outcome: str, cause: str, provider_code: str, now: datetime
) -> None:
    facts = {"cause": cause, "provider_code": provider_code[:_CAUSE_CHARACTERS]}
    await audit.append(connection, audit.Entry(ITSELF, "token.refresh", now, outcome, tenant_id, facts))
