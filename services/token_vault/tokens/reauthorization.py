"""Mark a tenant whose grant the provider no longer honours: a person must connect again, and learns why."""

from datetime import datetime

import structlog

from services.meshkit import db
from services.token_vault.audit import ITSELF
from services.token_vault.errors import TenantNeedsReauthorization
from services.token_vault.issuers.issuer import ADMIN_CONSENT, GrantError
from services.token_vault.store import audit, tokens
from services.token_vault.store.tenants import ACTIVE, ERROR, NEEDS_REAUTHORIZATION, change_tenant, get_tenant

logger = structlog.get_logger(__name__)

_WORDS = {
    "grant_revoked": "The provider reports that the access was revoked, expired or ended by a changed password.",
    "grant_expired": "The access has expired at the provider because it was not used, or was limited in time.",
    "mfa_needed": "The organisation requires another proof of identity (multi-factor authentication).",
    "conditional_access": "A conditional access policy of the organisation blocks the app.",
    "consent_missing": "The consent for the app is missing.",
    ADMIN_CONSENT: "The organisation requires an administrator's consent.",
    "reauthentication_required": "The organisation's session policy requires the user to sign in again.",
    "account_disabled": "The account is disabled at the provider.",
    "account_unknown": "The account no longer exists at the provider.",
    "app_not_in_directory": "The app was removed from the organisation's directory.",
}
_TESTING = (
    " Google limited the grant in time, as it does while the app's consent screen is in testing. Publish the app to"
    " Production, or grants end after seven days."
)


def sentence(cause: str) -> str:
    """Return a sentence with the cause and the remedy."""
    return f"{_WORDS.get(cause, 'The provider no longer honours the access.')} Connect the account again."


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
    cause = error.cause[:100]
    tenant = await get_tenant(connection, tenant_id, None, lock=True)
    limited = await tokens.was_limited_in_time(connection, tenant_id)
    if not await tokens.end_claim(connection, tenant_id, version, owner, error=cause):
        return False
    detail = sentence(error.cause) + (_TESTING if limited else "")
    if tenant.status in {ACTIVE, ERROR}:
        values = {"status": NEEDS_REAUTHORIZATION, "status_reason": cause, "status_detail": detail, "probe_at": None}
        await change_tenant(connection, tenant, now, {"grant_fault": cause, **values})
    else:
        await change_tenant(connection, tenant, now, {"grant_fault": cause})
    facts = {"cause": cause, "provider_code": error.provider_code[:100]}
    entry = audit.Entry(ITSELF, "token.refresh", now, TenantNeedsReauthorization.reason, tenant_id, facts)
    await audit.append(connection, entry)
    logger.warning("grant is broken", tenant_id=tenant_id, cause=error.cause, provider_code=error.provider_code)
    return True
