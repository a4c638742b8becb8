"""Probe accounts: the connection test, faults that other services report, and probes until a fault is fixed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.identity.caller import current_caller
from services.meshkit.loops import for_each
from services.token_vault.accounts.examine import Examiner, Finding
from services.token_vault.audit import ITSELF, actor
from services.token_vault.issuers.refusals import PASSING_CAUSES
from services.token_vault.metrics import PROBES
from services.token_vault.store import audit
from services.token_vault.store.due_tenants import claim_probes, schedule_probe, schedule_probes_of
from services.token_vault.store.tenants import ACTIVE, ERROR, Scope, TenantRow, change_tenant, get_tenant
from services.token_vault.tokens.grant_state import healthy, pause_after

logger = structlog.get_logger(__name__)

_AT_ONCE = 4
_BATCH = 16
_LEASE = timedelta(minutes=2)
_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(hours=6)
_ADDRESSES_EVERY = timedelta(minutes=10)
_DETAIL_CHARACTERS = 500

FAULTS = {
    "token_rejected": "The provider refuses fresh tokens of this account. If this persists, connect the account again.",
    "permission_missing": "The provider does not permit the app to do this: check its permissions and access policies.",
    "mailbox_not_enabled": "The provider's API reaches no mailbox of this account. Give it a licence with a mailbox.",
}
"""Faults that other services can report, as status reasons, each with its default detail."""


@dataclass(frozen=True)
class Fault:
    """A fault that another service reports.

    Args:
        reason: One of `FAULTS`.
        provider_code: The provider's own code.
        detail: A sentence that a person can act on; empty takes the default.
    """

    reason: str
    provider_code: str
    detail: str


class Prober:
    """Probes accounts, and keeps the status of their tenants current.

    Args:
        pool: Connections to the database.
        examiner: Asks the provider.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, examiner: Examiner, clock: Clock) -> None:
        self._pool = pool
        self._examiner = examiner
        self._clock = clock

    async def test(self, tenant_id: str, scope: Scope) -> Finding:
        """Test a connection on request. A fixed error is cleared, and a new address is stored.

        A token that the provider refused is retried once, however final the refusal was.

        Raises:
            TenantNotFound: The tenant does not exist, or is outside the scope.
            ProviderUnavailable, ProviderThrottled: The provider gave no answer.
        """
        async with db.connection(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, scope)
        try:
            finding = await self._examiner.examine(tenant)
        except MeshError as exc:
            await self._note(actor(), tenant_id, exc.reason)
            raise
        await self._note(actor(), tenant_id, finding.reason or audit.OK)
        await self._apply(tenant_id, finding)
        return finding

    async def report(self, tenant_id: str, fault: Fault) -> TenantRow:
        """Accept a fault that another service reports. Only an active tenant changes its status; probes follow.

        Raises:
            TenantNotFound: The tenant does not exist.
        """
        now = self._clock.now()
        facts = {"fault": fault.reason, "provider_code": fault.provider_code[:200]}
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, None, lock=True)
            await audit.append(connection, audit.Entry(actor(), "tenant.fault", now, tenant_id=tenant_id, detail=facts))
            if tenant.status != ACTIVE:
                return tenant
            logger.warning("tenant has a fault", tenant_id=tenant_id, fault=fault.reason, by=current_caller().name)
            values = {"status_reason": fault.reason, "status_detail": _detail(fault), "status": ERROR}
            return await change_tenant(
                connection, tenant, now, {**values, "probe_at": now + _FIRST_PAUSE, "probe_failures": 0}
            )

    async def clear(self, tenant_id: str) -> TenantRow:
        """Clear a reported fault. Safe to call again: yes.

        Raises:
            TenantNotFound: The tenant does not exist.
        """
        now, facts = self._clock.now(), {"fault": "cleared"}
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, None, lock=True)
            if tenant.status != ERROR or tenant.status_reason not in FAULTS:
                return tenant
            await audit.append(connection, audit.Entry(actor(), "tenant.fault", now, tenant_id=tenant_id, detail=facts))
            return await change_tenant(connection, tenant, now, healthy())

    async def check_addresses(self, provider: str) -> int:
        """Schedule a probe of every account of a provider for its address, at most every ten minutes.

        Returns:
            The number of scheduled probes.
        """
        async with db.transaction(self._pool) as connection:
            return await schedule_probes_of(connection, provider, self._clock.now(), _ADDRESSES_EVERY)

    async def round(self) -> int:
        """Probe the accounts that are due.

        Returns:
            The number of probed accounts.
        """
        async with db.transaction(self._pool) as connection:
            due = await claim_probes(connection, self._clock.now(), _LEASE, _BATCH)
        await for_each(due, self._probe, at_once=_AT_ONCE)
        return len(due)

    async def _probe(self, tenant_id: str) -> None:
        async with db.connection(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, None)
        try:
            finding = await self._examiner.examine(tenant)
        except MeshError as exc:
            PROBES.labels(exc.reason.lower()).inc()
            logger.info("probe failed", tenant_id=tenant_id, reason=exc.reason)
            await self._probe_later(tenant)
            return
        PROBES.labels(finding.reason.lower() or audit.OK).inc()
        after = await self._apply(tenant_id, finding)
        if after.status == ERROR:
            await self._probe_later(after)
        else:
            await self._schedule(tenant_id, None, 0)

    async def _apply(self, tenant_id: str, finding: Finding) -> TenantRow:
        """Store a new address, and clear an error that is fixed."""
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, None, lock=True)
            values: dict[str, object] = {}
            if finding.is_same_account and finding.address and finding.address != tenant.address:
                values["address"] = finding.address
            if finding.is_healthy and tenant.status == ERROR:
                values |= healthy()
                await audit.append(connection, audit.Entry(ITSELF, "tenant.enable", now, tenant_id=tenant_id))
            return await change_tenant(connection, tenant, now, values) if values else tenant

    async def _probe_later(self, tenant: TenantRow) -> None:
        """Schedule the next probe of a tenant with an error, at growing intervals. Others wait for a new cause."""
        if tenant.status != ERROR:
            await self._schedule(tenant.tenant_id, None, 0)
            return
        pause = min(_FIRST_PAUSE * 2 ** min(tenant.probe_failures, 10), _LONGEST_PAUSE)
        if tenant.status_reason in PASSING_CAUSES:
            pause = pause_after(tenant.probe_failures + 1)
        await self._schedule(tenant.tenant_id, self._clock.now() + pause, tenant.probe_failures + 1)

    async def _schedule(self, tenant_id: str, at: datetime | None, failures: int) -> None:
        async with db.transaction(self._pool) as connection:
            await schedule_probe(connection, tenant_id, at, failures)

    async def _note(self, who: str, tenant_id: str, outcome: str) -> None:
        async with db.transaction(self._pool) as connection:
            entry = audit.Entry(who, "tenant.test", self._clock.now(), outcome, tenant_id)
            await audit.append(connection, entry)


def _detail(fault: Fault) -> str:
    return (fault.detail or FAULTS[fault.reason])[:_DETAIL_CHARACTERS]
