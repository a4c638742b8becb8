"""What happens when a provider no longer honours a grant: a person has to connect again, and is told why."""

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
    "grant_revoked": "The provider says that the access was revoked, expired or ended by a changed password.",
    "grant_expired": "The access has expired at the provider because it was not used, or was limited in time.",
    "mfa_needed": "The organisation asks for another proof of identity (multi-factor authentication).",
    "conditional_access": "A conditional access policy of the organisation does not let the app in.",
    "consent_missing": "The consent for the app is missing.",
    ADMIN_CONSENT: "The organisation asks for an administrator's consent.",
    "reauthentication_required": "The organisation's session policy asks the user to sign in again.",
    "account_disabled": "The account is switched off at the provider.",
    "account_unknown": "The account does not exist any more at the provider.",
    "app_not_in_directory": "The app was removed from the organisation's directory.",
}
_TESTING = (
    " The grant was limited in time by Google, as it is while the app's consent screen is in testing: publish the app"
    " to Production, or grants end after seven days."
)


def sentence(cause: str) -> str:
    """Says in words what is wrong and what to do."""
    return f"{_WORDS.get(cause, 'The provider no longer honours the access.')} Connect the account again."


async def mark_grant_broken(
    connection: db.Connection, tenant_id: str, version: int, owner: str, error: GrantError, now: datetime
) -> bool:
    """Writes down that a grant is broken, if it is still the one that was asked about.

    Args:
        connection: In a transaction.
        tenant_id: Whose.
        version: The tokens that the provider refused.
        owner: Who has claimed them.
        error: What the provider said.
        now: The time.

    Returns:
        False when there are other tokens by now; nothing is changed then.
    """
    cause = error.cause[:100]
    tenant = await get_tenant(connection, tenant_id, None, lock=True)
    limited = await tokens.was_limited_in_time(connection, tenant_id)
    if not await tokens.end_claim(connection, tenant_id, version, owner, error=cause):
        return False
    detail = sentence(error.cause) + (_TESTING if limited else "")
    if tenant.status in {ACTIVE, ERROR}:
        told = {"status": NEEDS_REAUTHORIZATION, "status_reason": cause, "status_detail": detail, "probe_at": None}
        await change_tenant(connection, tenant, now, {"grant_fault": cause, **told})
    else:
        await change_tenant(connection, tenant, now, {"grant_fault": cause})
    facts = {"cause": cause, "provider_code": error.provider_code[:100]}
    entry = audit.Entry(ITSELF, "token.refresh", now, TenantNeedsReauthorization.reason, tenant_id, facts)
    await audit.append(connection, entry)
    logger.warning("grant is broken", tenant_id=tenant_id, cause=error.cause, provider_code=error.provider_code)
    return True
