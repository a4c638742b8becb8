"""How an attempt to connect an account goes, for the key that began it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.token_vault.errors import AuthorizationNotFound, FlowStateInvalid
from services.token_vault.store import authorization_flows
from services.token_vault.store.authorization_flows import FlowRow
from services.token_vault.store.tenants import Scope

PENDING = "pending"
CONNECTED = "connected"
FAILED = "failed"

# Longer than the edge waits for the exchange of a code, so one that goes on for longer goes on no more.
_EXCHANGE_LIFE = timedelta(minutes=1)


@dataclass(frozen=True)
class AuthorizationStatus:
    """How it goes.

    Args:
        flow_id: Of the attempt.
        state: `PENDING`, `CONNECTED` or `FAILED`; the last two are final.
        expires_at: When it fails by itself.
        tenant_id: Of the tenant that was connected, else empty.
        reason: Of the failure, as the catalogue and the result page have it, else empty.
        metadata: What belongs to the reason.
    """

    flow_id: str
    state: str
    expires_at: datetime
    tenant_id: str = ""
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AuthorizationReader:
    """Tells keys how the attempts go that they could have begun.

    Args:
        pool: Where attempts are kept.
        clock: The time.
    """

    pool: db.Pool
    clock: Clock

    async def read(self, flow_id: str, scope: Scope) -> AuthorizationStatus:
        """Tells how an attempt goes.

        Raises:
            AuthorizationNotFound: There is none, or it is of a tenant outside of the scope, or of none yet while the
                scope has limits: such a key connects no new account.
        """
        async with db.connection(self.pool) as connection:
            flow = await authorization_flows.get_flow(connection, flow_id)
        if flow is None or (scope is not None and flow.tenant_id not in scope):
            raise AuthorizationNotFound(resource=flow_id, metadata={"flow_id": flow_id})
        return status_of(flow, self.clock.now())


def status_of(flow: FlowRow, now: datetime) -> AuthorizationStatus:
    """Tells how an attempt goes at a time. What nobody finishes in time has failed, though nobody wrote that down."""
    if flow.step == authorization_flows.CONNECTED:
        return AuthorizationStatus(flow.flow_id, CONNECTED, flow.expires_at, tenant_id=flow.tenant_id or "")
    if flow.step == authorization_flows.FAILED:
        return _failed(flow, flow.reason, flow.detail)
    life = _EXCHANGE_LIFE if flow.step == authorization_flows.EXCHANGING else timedelta()
    if flow.expires_at + life <= now:
        return _failed(flow, FlowStateInvalid.reason, "expired")
    return AuthorizationStatus(flow.flow_id, PENDING, flow.expires_at)


def _failed(flow: FlowRow, reason: str, detail: str) -> AuthorizationStatus:
    named = "scopes" if reason == "SCOPE_NOT_GRANTED" else "detail"
    facts = {"provider": flow.provider, "tenant_id": flow.tenant_id or "", named: detail}
    metadata = {key: value for key, value in facts.items() if value}
    return AuthorizationStatus(flow.flow_id, FAILED, flow.expires_at, reason=reason, metadata=metadata)
