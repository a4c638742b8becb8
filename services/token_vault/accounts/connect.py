"""Connect an account: an API key starts a flow, a browser signs in at the provider, and the account becomes a tenant.

    start     an API key gets our own address with a ticket: single use, ten minutes
    offer     a browser opens the address: a page with a button, and a secret in a cookie; nothing is spent
    open      the button is pressed: the ticket is spent, and the browser goes to the provider with state and PKCE
    complete  the browser returns with cookie, state and code: check, exchange, verify, store

The secrets of the exchange, above all the PKCE verifier, are sealed with a key that only the browser's cookie gives.
"""

import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta

import asyncpg
import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.identity.caller import Caller
from services.meshkit.secret import Secret
from services.providers.abilities import asked_scopes
from services.token_vault.abilities import abilities_to_request, checked_abilities, grant_command, granted_before
from services.token_vault.accounts.admit import Admission, Admitted
from services.token_vault.accounts.consent import Consents
from services.token_vault.accounts.errors import AccountMismatch, AdminConsentNeeded, MailboxConnectedOtherwise
from services.token_vault.accounts.flow_secrets import (
    cookie_name,
    digest,
    flow_key,
    invalid,
    page_secret,
    proof_of,
)
from services.token_vault.accounts.flow_start import FlowStart, FlowStarter, require_enough
from services.token_vault.accounts.flow_steps import Offered, Opened, Returned, Started, Wanted
from services.token_vault.errors import IdentityUnproven, ProviderUnknown, ScopeTooWide, TenantDisconnected
from services.token_vault.issuers.issuer import Account, Begun, Grant, Issuer, TokenRefused
from services.token_vault.issuers.refusals import ADMIN_CONSENT
from services.token_vault.keys.sealing import bound_to, open_with, seal_with
from services.token_vault.metrics import FLOWS
from services.token_vault.store import audit, authorization_flows
from services.token_vault.store.authorization_flows import FlowRow
from services.token_vault.store.tenants import APP, DISCONNECTED, DISCONNECTING, TenantRow, get_tenant

logger = structlog.get_logger(__name__)

_SECRET_BYTES = 32


class Connector:
    """The steps of an authorization flow.

    Args:
        pool: Connections to the database.
        admission: Makes tenants of accounts.
        issuers: By provider.
        consents: Takes administrators' consents.
        clock: The time.
        starter: Starts flows.
        flow_life: Lifetime of a state.
    """

    def __init__(
        self,
        pool: db.Pool,
        admission: Admission,
        issuers: dict[str, Issuer],
        consents: Consents,
        clock: Clock,
        starter: FlowStarter,
        flow_life: timedelta,
    ) -> None:
        self._pool = pool
        self._admission = admission
        self._issuers = issuers
        self._clock = clock
        self._consents = consents
        self._starter = starter
        self._flow_life = flow_life

    async def start(self, caller: Caller, wanted: Wanted) -> Started:
        """Start a flow.

        Raises:
            AbilityUnknown: This version does not have an ability.
            ProviderUnknown: The installation has no settings for the provider.
            MailboxConnectedOtherwise: The tenant has the app's tokens; the metadata has the command for it.
            TenantNotFound, TenantDisconnected: The tenant of a reconnect does not exist, or is being disconnected.
            ScopeTooWide: A key that is limited to tenants cannot connect a new one, and no key can request an ability
                that neither it has nor the tenant has granted.
            PublicUrlUnset: A browser could not return.
        """
        self._starter.require_public_url()
        named = checked_abilities(wanted.abilities)
        tenant = await self._checked_tenant(caller, wanted)
        if tenant is not None and tenant.token_type == APP and tenant.status != DISCONNECTED:
            command = grant_command(tenant, named)
            raise MailboxConnectedOtherwise(
                f"The tenant has the app's tokens, and no person consents for it. Connect it again by: {command}",
                subject=tenant.tenant_id,
                metadata={"tenant_id": tenant.tenant_id, "command": command},
            )
        provider = tenant.provider if tenant else wanted.provider
        self._issuer(provider)
        abilities = _askable(caller, named, tenant)
        return await self._starter.start(
            FlowStart(
                provider,
                f"key:{caller.key_id}",
                wanted.tenant_id,
                wanted.login_hint,
                wanted.display_name,
                abilities,
            )
        )

    async def offer(self, provider: str, ticket: str, cookies: Mapping[str, str]) -> Offered:
        """Check a ticket for the page with the button, and change nothing.

        Args:
            provider: From the address.
            ticket: From the address.
            cookies: All cookies that the browser sent; one from an earlier visit is kept, so that each tab works.

        Raises:
            FlowStateInvalid: The ticket is not valid.
        """
        flow = await self._flow_of(provider, ticket)
        if flow.step != authorization_flows.STARTED:
            raise invalid("used")
        browser = page_secret(flow.flow_id, cookies) or Secret(secrets.token_urlsafe(_SECRET_BYTES))
        return Offered(flow.flow_id, provider, browser, proof_of(browser, ticket))

    async def open(self, provider: str, ticket: str, proof: str, cookies: Mapping[str, str]) -> Opened:
        """Spend a ticket. The browser that spent it may repeat this until it has returned.

        Args:
            provider: From the address.
            ticket: From the form.
            proof: From the form.
            cookies: All cookies that the browser sent.

        Raises:
            FlowStateInvalid: The ticket is not valid, or the form is not of this browser's page; no sign-in starts.
            ProviderUnavailable, InstallationMisconfigured: The provider did not answer; the ticket stays valid.
        """
        flow, now = await self._flow_of(provider, ticket), self._clock.now()
        browser = page_secret(flow.flow_id, cookies)
        if browser is None or not hmac.compare_digest(proof_of(browser, ticket).encode(), proof.encode()):
            raise invalid("other browser")
        state = Secret(secrets.token_urlsafe(_SECRET_BYTES))
        begun = await self._begun(flow, state)
        async with db.transaction(self._pool) as connection:
            is_ours = await authorization_flows.open_flow(
                connection,
                flow.flow_id,
                now,
                now + self._flow_life,
                browser_digest=digest(browser.reveal()),
                state_digest=digest(state.reveal()),
                kept=seal_with(flow_key(browser), begun.kept.reveal().encode(), bound_to("flow", flow.flow_id)),
            )
        if not is_ours:
            raise invalid("used")
        return Opened(begun.url, cookie_name(state.reveal()), browser)

    async def _begun(self, flow: FlowRow, state: Secret) -> Begun:
        if flow.directory_id:
            return self._consents.begin(flow, state)
        scopes = asked_scopes(flow.provider, flow.abilities)
        return await self._issuer(flow.provider).begin(state, flow.login_hint, scopes)

    async def _flow_of(self, provider: str, ticket: str) -> FlowRow:
        async with db.connection(self._pool) as connection:
            flow = await authorization_flows.flow_of_ticket(connection, digest(ticket))
        if flow is None or flow.provider != provider:
            raise invalid("unknown")
        if flow.step not in {authorization_flows.STARTED, authorization_flows.OPENED}:
            raise invalid("used")
        if flow.expires_at <= self._clock.now():
            raise invalid("expired")
        return flow

    async def complete(self, returned: Returned) -> str:
        """Check the returning browser, exchange the code, verify the account, and store the tenant.

        Returns:
            The id of the flow, whose result page shows the outcome. Empty for an unknown flow.
        """
        async with db.connection(self._pool) as connection:
            flow = (
                await authorization_flows.flow_of_state(connection, digest(returned.state)) if returned.state else None
            )
        if flow is None or flow.provider != returned.provider:
            FLOWS.labels(self._known(returned.provider), "unknown").inc()
            return ""
        browser = returned.cookies.get(cookie_name(returned.state), "")
        if not hmac.compare_digest(digest(browser), flow.browser_digest or b""):
            # Another browser: the flow stays open for its own.
            FLOWS.labels(flow.provider, "other_browser").inc()
            return ""
        if flow.step != authorization_flows.OPENED:
            await self._note_failure(flow, invalid("used"), is_end=False)
            return ""
        await self._finish(flow, returned, browser)
        return flow.flow_id

    async def result(self, flow_id: str) -> FlowRow | None:
        """Read a flow, for its result page."""
        async with db.connection(self._pool) as connection:
            return await authorization_flows.get_flow(connection, flow_id)

    async def _finish(self, flow: FlowRow, returned: Returned, browser: str) -> None:
        try:
            if not await self._begin_exchange(flow):
                # The same browser returned twice at once: the first request decides the outcome.
                await self._note_failure(flow, invalid("used"), is_end=False)
                return
            if flow.directory_id:
                await self._consents.complete(flow, returned)
                FLOWS.labels(flow.provider, "connected").inc()
                return
            admitted = await self._admitted(flow, returned, browser)
        except MeshError as exc:
            await self._note_failure(flow, exc)
            return
        outcome = "reconnected" if admitted.is_reconnect else "connected"
        FLOWS.labels(flow.provider, outcome).inc()
        logger.info("account connected", tenant_id=admitted.tenant.tenant_id, flow_id=flow.flow_id, outcome=outcome)

    async def _begin_exchange(self, flow: FlowRow) -> bool:
        now = self._clock.now()
        if flow.expires_at <= now:
            raise invalid("expired")
        async with db.transaction(self._pool) as connection:
            return await authorization_flows.begin_exchange(connection, flow.flow_id, now)

    async def _admitted(self, flow: FlowRow, returned: Returned, browser: str) -> Admitted:
        if returned.refusal is not None:
            raise returned.refusal
        if not returned.code:
            raise invalid("no code")
        grant, account = await self._verified(flow, returned, browser)
        try:
            return await self._admission.admit(flow, grant, account)
        except asyncpg.UniqueViolationError:
            # Two flows connected the same new account at once. The other flow was first, so this one is a reconnect.
            return await self._admission.admit(flow, grant, account)

    async def _verified(self, flow: FlowRow, returned: Returned, browser: str) -> tuple[Grant, Account]:
        issuer = self._issuer(flow.provider)
        kept = open_with(flow_key(Secret(browser)), flow.kept or b"", bound_to("flow", flow.flow_id)).decode()
        try:
            grant = await issuer.exchange(Secret(kept), Secret(returned.state), Secret(returned.code))
            require_enough(issuer, flow, grant)
            account = await issuer.who_is(grant.tokens.access_token)
        except TokenRefused as exc:
            if exc.cause == ADMIN_CONSENT:
                raise AdminConsentNeeded(metadata={"provider": flow.provider}) from exc
            raise invalid(exc.cause) from exc
        if account.user_id.lower() != grant.identity.user_id.lower():
            raise IdentityUnproven(metadata={"provider": flow.provider, "detail": "account"})
        return grant, account

    async def _note_failure(self, flow: FlowRow, error: MeshError, *, is_end: bool = True) -> None:
        FLOWS.labels(flow.provider, error.reason.lower()).inc()
        logger.info("account not connected", flow_id=flow.flow_id, reason=error.reason, detail=_detail(error))
        now, facts = self._clock.now(), {"flow_id": flow.flow_id, "detail": _detail(error)}
        entry = audit.Entry(f"browser:{flow.flow_id}", "tenant.connect", now, error.reason, flow.tenant_id or "", facts)
        async with db.transaction(self._pool) as connection:
            if is_end:
                await authorization_flows.end_flow(
                    connection,
                    flow.flow_id,
                    step=authorization_flows.FAILED,
                    reason=error.reason,
                    detail=_detail(error),
                )
            await audit.append(connection, entry)

    async def _checked_tenant(self, caller: Caller, wanted: Wanted) -> TenantRow | None:
        """Return the tenant of a reconnect, or None for a new account."""
        if not wanted.tenant_id:
            if caller.tenants is not None:
                raise ScopeTooWide(metadata={"field": "tenant_id"})
            return None
        async with db.connection(self._pool) as connection:
            tenant = await get_tenant(connection, wanted.tenant_id, caller.tenants)
        if tenant.status == DISCONNECTING:
            raise TenantDisconnected(
                "The tenant is being disconnected. Connect it again when that is done.",
                subject=wanted.tenant_id,
                metadata={"tenant_id": wanted.tenant_id},
            )
        if wanted.provider and wanted.provider != tenant.provider:
            raise AccountMismatch(subject=wanted.tenant_id, metadata={"tenant_id": wanted.tenant_id})
        return tenant

    def _issuer(self, provider: str) -> Issuer:
        issuer = self._issuers.get(provider)
        if issuer is None:
            raise ProviderUnknown(
                violations={"provider": "has no settings in this installation"},
                metadata={"provider": provider[:50], "known": ",".join(self._issuers)},
            )
        return issuer

    def _known(self, provider: str) -> str:
        return provider if provider in self._issuers else "unknown"


def _askable(caller: Caller, named: tuple[str, ...], tenant: TenantRow | None) -> tuple[str, ...]:
    """Return the abilities to ask for: a key hands out no more than its own rights and the abilities already granted.

    An ability that the account declined before is left out unless the key has it.

    Raises:
        ScopeTooWide: The key may not ask for a named ability, or for any.
    """
    wanted, granted = abilities_to_request(named, tenant), granted_before(tenant)
    askable = tuple(one for one in wanted if one in granted or caller.has_ability(one))
    if not askable or not set(named) <= set(askable):
        raise ScopeTooWide(metadata={"field": "abilities"})
    return askable


def _detail(error: MeshError) -> str:
    found = (error.metadata.get(name) for name in ("scopes", "command", "detail"))
    return next(filter(None, found), "")[:300]
