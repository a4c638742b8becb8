"""Start an authorization flow: a ticket, its record, and the address that a browser opens."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlation_id
from services.meshkit.ids import new_id
from services.providers.abilities import granted_abilities, lacking_scopes_of_all
from services.token_vault.accounts.errors import PublicUrlUnset
from services.token_vault.accounts.flow_secrets import digest
from services.token_vault.accounts.flow_steps import Started
from services.token_vault.errors import ScopeNotGranted
from services.token_vault.issuers.issuer import Grant, Issuer
from services.token_vault.store import audit, authorization_flows
from services.token_vault.store.authorization_flows import FlowRow

_SECRET_BYTES = 32


@dataclass(frozen=True)
class FlowStart:
    """The facts of a flow that starts: those of an account, or those of an organisation.

    Args:
        provider: The provider.
        started_by: The key that asks.
        tenant_id: The tenant of a reconnect, or empty.
        login_hint: The address to suggest, or empty.
        display_name: The tenant's name, or empty.
        abilities: The abilities to ask for.
        directory_id: The organisation whose administrator is asked, or empty.
        allowed_addresses: Its allow-list.
        allows_all: Whether every mailbox is allowed.
    """

    provider: str
    started_by: str
    tenant_id: str = ""
    login_hint: str = ""
    display_name: str = ""
    abilities: tuple[str, ...] = ()
    directory_id: str = ""
    allowed_addresses: tuple[str, ...] = ()
    allows_all: bool = False


@dataclass(frozen=True)
class FlowStarter:
    """Starts flows.

    Args:
        pool: Connections to the database.
        clock: The time.
        public_url: The address at which browsers reach us; empty when they cannot.
        life: Lifetime of a ticket.
    """

    pool: db.Pool
    clock: Clock
    public_url: str
    life: timedelta

    def require_public_url(self) -> None:
        """Check that a browser could return.

        Raises:
            PublicUrlUnset: It could not.
        """
        if not self.public_url:
            raise PublicUrlUnset(metadata={"setting": "MAILMESH_PUBLIC_URL"})

    async def start(self, wanted: FlowStart) -> Started:
        """Store a flow and return its address. Not idempotent: each call makes a ticket."""
        ticket, flow_id = secrets.token_urlsafe(_SECRET_BYTES), new_id()
        flow = self._row(wanted, ticket, flow_id)
        facts = {"flow_id": flow_id, "provider": flow.provider, "abilities": " ".join(flow.abilities)}
        if flow.directory_id:
            facts["directory_id"] = flow.directory_id
        async with db.transaction(self.pool) as connection:
            await authorization_flows.insert_flow(connection, flow)
            entry = audit.Entry(
                flow.started_by, "authorization.start", flow.created_at, tenant_id=wanted.tenant_id, detail=facts
            )
            await audit.append(connection, entry)
        url = f"{self.public_url}/auth/oauth/{flow.provider}/authorize?ticket={quote(ticket)}"
        return Started(flow_id, url, flow.expires_at)

    def _row(self, wanted: FlowStart, ticket: str, flow_id: str) -> FlowRow:
        now = self.clock.now()
        return FlowRow(
            flow_id=flow_id,
            provider=wanted.provider,
            tenant_id=wanted.tenant_id or None,
            login_hint=wanted.login_hint,
            display_name=wanted.display_name,
            started_by=wanted.started_by,
            step=authorization_flows.STARTED,
            ticket_digest=digest(ticket),
            browser_digest=None,
            state_digest=None,
            kept=None,
            reason="",
            detail="",
            created_at=now,
            expires_at=now + self.life,
            correlation_id=correlation_id(),
            abilities=wanted.abilities,
            directory_id=wanted.directory_id,
            allowed_addresses=wanted.allowed_addresses,
            allows_all=wanted.allows_all,
        )


def require_enough(issuer: Issuer, flow: FlowRow, grant: Grant) -> None:
    """Refuse a grant without the scopes of every account, or with too little for any of the requested abilities.

    Raises:
        ScopeNotGranted: It is; the metadata names the scopes.
    """
    granted = grant.tokens.scopes
    missing = issuer.missing_scopes(granted)
    if not missing and granted_abilities(flow.provider, flow.abilities, granted):
        return
    named = dict.fromkeys((*missing, *lacking_scopes_of_all(flow.provider, flow.abilities, granted)))
    raise ScopeNotGranted(metadata={"scopes": " ".join(named)})
