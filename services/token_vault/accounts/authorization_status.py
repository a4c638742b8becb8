"""The status of an attempt to connect an account, for the API key that started it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.token_vault.accounts.errors import AbilitiesWouldBeLost, AuthorizationNotFound, FlowStateInvalid
from services.token_vault.errors import ScopeNotGranted
from services.token_vault.store import authorization_flows
from services.token_vault.store.authorization_flows import FlowRow
from services.token_vault.store.tenants import Scope

PENDING = "pending"
CONNECTED = "connected"
FAILED = "failed"

# Longer than the edge waits for the exchange of a code, so an exchange that takes longer has ended.
_EXCHANGE_LIFE = timedelta(minutes=1)

_NAMED = {ScopeNotGranted.reason: "scopes", AbilitiesWouldBeLost.reason: "command"}
"""The name in the metadata of what a flow keeps about a failure; "detail" for the others."""


@dataclass(frozen=True)
class AuthorizationStatus:
    """The status of an attempt.

    Args:
        flow_id: The attempt.
        state: `PENDING`, `CONNECTED` or `FAILED`; the last two are final.
        expires_at: When the attempt fails by itself.
        tenant_id: The connected tenant, else empty.
        reason: The failure, as in the catalogue and on the result page, else empty.
        metadata: Metadata of the reason.
        missing_abilities: Requested abilities that the connected account did not grant.
    """

    flow_id: str
    state: str
    expires_at: datetime
    tenant_id: str = ""
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    missing_abilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuthorizationReader:
    """Reads the attempts that an API key could have started.

    Args:
        pool: Connections to the database.
        clock: The time.
    """

    pool: db.Pool
    clock: Clock

    async def read(self, flow_id: str, scope: Scope) -> AuthorizationStatus:
        """Read the status of an attempt.

        Raises:
            AuthorizationNotFound: The attempt does not exist, belongs to a tenant outside the scope, or has no tenant
                yet while the scope is limited: such a key cannot connect a new account.
        """
        async with db.connection(self.pool) as connection:
            flow = await authorization_flows.get_flow(connection, flow_id)
        if flow is None or (scope is not None and flow.tenant_id not in scope):
            raise AuthorizationNotFound(resource=flow_id, metadata={"flow_id": flow_id})
        return status_of(flow, self.clock.now())


def status_of(flow: FlowRow, now: datetime) -> AuthorizationStatus:
    """Return the status of an attempt at a time. An attempt that is not finished in time counts as failed."""
    if flow.step == authorization_flows.CONNECTED:
        missing = tuple(flow.detail.split())
        return AuthorizationStatus(
            flow.flow_id, CONNECTED, flow.expires_at, tenant_id=flow.tenant_id or "", missing_abilities=missing
        )
    if flow.step == authorization_flows.FAILED:
        return _failed(flow, flow.reason, flow.detail)
    life = _EXCHANGE_LIFE if flow.step == authorization_flows.EXCHANGING else timedelta()
    if flow.expires_at + life <= now:
        return _failed(flow, FlowStateInvalid.reason, "expired")
    return AuthorizationStatus(flow.flow_id, PENDING, flow.expires_at)


def _failed(flow: FlowRow, reason: str, detail: str) -> AuthorizationStatus:
    named = _NAMED.get(reason, "detail")
    facts = {"provider": flow.provider, "tenant_id": flow.tenant_id or "", named: detail}
    metadata = {key: value for key, value in facts.items() if value}
    return AuthorizationStatus(flow.flow_id, FAILED, flow.expires_at, reason=reason, metadata=metadata)
