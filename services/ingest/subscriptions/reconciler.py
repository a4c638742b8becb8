"""Reconciles subscriptions with their wanted state, one step at a time under a lease.

Every step has three parts: lease the row, call the provider without a lock, and store the result under the lease's
fence. A process that dies between the last two leaves a row that is due again, and at the provider a subscription with
our id in its notification URL; the next step finds and replaces it.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial

import structlog

from mailmesh.ingest.v1.subscription_service_pb2 import SUBSCRIPTION_STATE_ACTIVE
from mailmesh.vault.v1.token_vault_service_pb2 import (
    TENANT_FAULT_MAILBOX_UNAVAILABLE,
    TENANT_FAULT_PERMISSION_MISSING,
    TENANT_FAULT_TOKEN_REJECTED,
)
from services.ingest.errors import MailboxUnavailable, PermissionMissing, ProviderUnavailable, TokenRejected
from services.ingest.metrics import SUBSCRIPTION_STEPS
from services.ingest.store import subscription_leases as store
from services.ingest.store.subscription_rows import SubscriptionRow
from services.ingest.subscriptions import google, microsoft
from services.ingest.subscriptions.inbox_items import enqueue_calendar_changed
from services.ingest.subscriptions.next_step import next_step
from services.ingest.subscriptions.schedule import retry_time
from services.ingest.subscriptions.steps import Steps
from services.ingest.subscriptions.token_vault import FaultReporter
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import Aborted, DeadlineExceeded, MeshError, ResourceExhausted, Unavailable
from services.meshkit.loops import Lanes

logger = structlog.get_logger(__name__)

PROVIDERS = (microsoft.PROVIDER, google.PROVIDER)
DUE_AT_ONCE = 16
STEP_SECONDS = 75.0
"""Less than the duration of a lease: no other process leases the row while its provider is still being called."""
PASSING = (Unavailable, ResourceExhausted, DeadlineExceeded, Aborted)
FAULTS: dict[type[MeshError], int] = {
    PermissionMissing: TENANT_FAULT_PERMISSION_MISSING,
    MailboxUnavailable: TENANT_FAULT_MAILBOX_UNAVAILABLE,
    TokenRejected: TENANT_FAULT_TOKEN_REJECTED,
}


class SubscriptionReconciler:
    """Executes the due steps of subscriptions.

    Args:
        pool: Connections to PostgreSQL.
        steps: Executes a step.
        faults: Reports tenants' faults to TokenVault.
        holder: Name of this process in leases.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, steps: Steps, faults: FaultReporter, holder: str, clock: Clock) -> None:
        self._pool = pool
        self._steps = steps
        self._faults = faults
        self._holder = holder
        self._clock = clock
        self._lanes = {name: Lanes(f"subscriptions {name}", DUE_AT_ONCE) for name in PROVIDERS}

    async def round(self, provider: str) -> int:
        """Start the due steps at a provider, a bounded number at once. A failing or hanging step does not block others.

        Args:
            provider: "ms365" or "googlews": failures at one do not delay the steps at the other.

        Returns:
            The number of started steps. Long steps continue beside the next rounds.
        """
        lanes = self._lanes[provider]
        free = await lanes.free()
        async with db.connection(self._pool) as connection:
            due = await store.due(connection, provider, self._clock.now(), free)
        await lanes.start(due, partial(self.process_quietly, if_due=True))
        return len(due)

    async def aclose(self) -> None:
        """Cancel the steps that rounds have started; their subscriptions stay due. Safe to call again."""
        for lanes in self._lanes.values():
            await lanes.aclose()

    async def process(self, subscription_id: str, *, if_due: bool = False) -> bool:
        """Execute the next step of one subscription. Safe to call again.

        Args:
            subscription_id: The subscription.
            if_due: Only if it is due.

        Returns:
            Whether it was executed; False when another process holds a lease on the tenant, or when `if_due` is set and
            it is not due.

        Raises:
            MeshError: The step failed; the failure is stored, and the step is retried later.
        """
        async with db.connection(self._pool) as connection:
            leased = await store.lease(connection, subscription_id, self._holder, self._clock.now(), if_due=if_due)
        if leased is None:
            return False
        row, tenant_status = leased
        try:
            await self._step(row, tenant_status)
        except asyncio.CancelledError:
            # The caller has gone, or the process stops: others need not wait until the lease has expired.
            async with db.connection(self._pool) as connection:
                await store.release(connection, row)
            raise
        return True

    async def process_quietly(self, subscription_id: str, *, if_due: bool = False) -> bool:
        """Execute the next step as `process` does; a failure is stored, logged and retried later."""
        try:
            return await self.process(subscription_id, if_due=if_due)
        except MeshError as exc:
            logger.warning("subscription step failed", subscription_id=subscription_id, reason=exc.reason)
            return True

    async def _step(self, row: SubscriptionRow, tenant_status: int) -> None:
        step = next_step(row, tenant_status, self._clock.now())
        try:
            await self._in_time(self._steps.execute(step, row))
        except MeshError as exc:
            SUBSCRIPTION_STEPS.labels(row.provider, step.name.lower(), exc.reason).inc()
            await self._store_failure(row, exc)
            raise
        SUBSCRIPTION_STEPS.labels(row.provider, step.name.lower(), "ok").inc()

    async def _in_time(self, step: Coroutine[None, None, None]) -> None:
        try:
            async with asyncio.timeout(STEP_SECONDS):
                await step
        except TimeoutError as exc:
            raise ProviderUnavailable("The provider did not answer in time.") from exc

    async def _store_failure(self, row: SubscriptionRow, exc: MeshError) -> None:
        retry_at = retry_time(
            self._clock.now(), row.failures + 1, exc.retry_after, is_waiting_for_person=not isinstance(exc, PASSING)
        )
        async with db.transaction(self._pool) as connection:
            await store.record_failure(connection, row, reason=exc.reason, detail=exc.message, retry_at=retry_at)
            if not row.is_of_mail and row.state == SUBSCRIPTION_STATE_ACTIVE:
                # Its calendar is polled at the interval of calendars without pushes, from now on.
                await enqueue_calendar_changed(connection, row.tenant_id, row.calendar_id, self._clock.now())
            # A refusal of a calendar concerns the calendar, not its account.
            is_isolated = not row.is_of_mail or await store.has_working_sibling(connection, row)
        fault = FAULTS.get(type(exc))
        if fault is not None and not is_isolated:
            await self._faults.report(row.tenant_id, fault, exc.metadata.get("detail", ""), exc.message)
