"""The use cases of SubscriptionService: create, get, renew and delete."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from mailmesh.ingest.v1.subscription_service_pb2 import (
    DELIVERY_MODE_POLL,
    DELIVERY_MODE_PUSH,
    DELIVERY_MODE_UNSPECIFIED,
    SUBSCRIPTION_STATE_ACTIVE,
    SUBSCRIPTION_STATE_DELETED,
    SUBSCRIPTION_STATE_DELETING,
    SUBSCRIPTION_STATE_PENDING,
    SUBSCRIPTION_STATE_POLLING,
    CreateSubscriptionRequest,
)
from mailmesh.vault.v1.tenant_pb2 import Tenant
from services.ingest.errors import (
    ProviderThrottled,
    PublicUrlUnset,
    ResourceDataNotAccepted,
    SubscriptionDiffers,
    SubscriptionNotFound,
    SubscriptionOfCalendar,
    TenantNotFound,
)
from services.ingest.store import calendar_subscriptions, tenants
from services.ingest.store import subscriptions as store
from services.ingest.store.subscription_rows import SubscriptionRow
from services.ingest.subscriptions import google
from services.ingest.subscriptions.provider_calls import TokenBorrower
from services.ingest.subscriptions.reconciler import SubscriptionReconciler
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import Conflict, FailedPrecondition, FieldInvalid
from services.meshkit.ids import check_id

CHANGE_TYPES = ("created", "deleted", "updated")
MAX_FOLDER_CHARACTERS = 300
MAX_LABELS = 100
MAX_LABEL_CHARACTERS = 200
BATCH_AT_ONCE = 8
TRIES = 3
"""A subscription that is being deleted is deleted first and then recreated, and the new one may be deleted too."""
WAIT_FOR_LEASE_SECONDS = 20.0
LEASE_POLL_SECONDS = 0.2
ENDING = (SUBSCRIPTION_STATE_DELETING, SUBSCRIPTION_STATE_DELETED)


class SubscriptionUseCases:
    """Creates, renews and deletes subscriptions on request.

    Args:
        pool: Connections to PostgreSQL.
        reconciler: Executes the steps.
        tokens: Identifies tenants, and refuses those that may not be processed.
        clock: The time.
        pushing: The providers whose notifications reach this installation.
        accepts_resource_data: Whether subscriptions may ask for resource data.
    """

    def __init__(
        self,
        pool: db.Pool,
        reconciler: SubscriptionReconciler,
        tokens: TokenBorrower,
        clock: Clock,
        pushing: frozenset[str],
        *,
        accepts_resource_data: bool = False,
    ) -> None:
        self._pool = pool
        self._reconciler = reconciler
        self._tokens = tokens
        self._clock = clock
        self._pushing = pushing
        self._accepts_resource_data = accepts_resource_data

    async def create(self, request: CreateSubscriptionRequest, scope: store.Scope) -> SubscriptionRow:
        """Create one subscription at the provider. Safe to call again: the same folder or labels give the same one.

        Args:
            request: The folder or labels to watch.
            scope: The tenants that the caller may see.

        Returns:
            The subscription after the step. It is pending when another process creates it at the moment.

        Raises:
            FieldInvalid: A field of the request is invalid.
            TenantNotFound: There is no such tenant in the scope.
            PublicUrlUnset: Pushes are requested and cannot arrive.
            ResourceDataNotAccepted: Resource data is requested, and the installation accepts none.
            SubscriptionDiffers: The folder has a subscription that differs in its resource data.
            MeshError: The error of the provider or TokenVault. After a passing failure the row stays and is retried.
        """
        tenant_id = check_id("tenant_id", request.tenant_id)
        if scope is not None and tenant_id not in scope:
            raise TenantNotFound.of(tenant_id)
        _, tenant = await self._tokens.borrow(tenant_id)
        wanted = self._wanted(request, tenant)
        for _ in range(TRIES):
            row = await self._create(wanted, tenant)
            if row.state != SUBSCRIPTION_STATE_DELETED:
                return row
        raise Conflict

    async def renew(self, subscription_id: str, scope: store.Scope) -> SubscriptionRow:
        """Renew a subscription now; one that the provider lost is recreated. Safe to call again.

        Raises:
            SubscriptionNotFound: There is none in the scope, or it is being deleted.
            MeshError: The error of the provider or TokenVault.
        """
        row = await self.get(subscription_id, scope)
        if row.state in ENDING:
            raise SubscriptionNotFound.of(subscription_id)
        await self._tokens.borrow(row.tenant_id, row.ability)
        if row.is_polled and not row.is_of_mail:
            async with db.connection(self._pool) as connection:
                await calendar_subscriptions.push_again(
                    connection, row.tenant_id, row.subscription_id, self._clock.now()
                )
        return await self._step(subscription_id, is_done=lambda _: False)

    async def delete(self, subscription_id: str, scope: store.Scope) -> SubscriptionRow:
        """Delete a subscription here and at the provider. A failure at the provider is retried. Safe to call again.

        Returns:
            The subscription after the step: deleting while the provider fails, or while another step is running.

        Raises:
            SubscriptionNotFound: There is none in the scope.
            SubscriptionOfCalendar: It belongs to a followed calendar, and ends with it.
        """
        if not (await self.get(subscription_id, scope)).is_of_mail:
            raise SubscriptionOfCalendar.of(subscription_id)
        async with db.transaction(self._pool) as connection:
            is_there = await store.begin_deletion(connection, subscription_id, scope, self._clock.now())
        if not is_there:
            raise SubscriptionNotFound.of(subscription_id)
        # Another process may hold a lease on the tenant. A failure is retried, so the caller gets no error.
        await self._as_soon_as_possible(lambda: self._reconciler.process_quietly(subscription_id))
        return await self.get(subscription_id, None)

    async def get(self, subscription_id: str, scope: store.Scope) -> SubscriptionRow:
        """Return a subscription.

        Raises:
            SubscriptionNotFound: There is none in the scope.
        """
        check_id("subscription_id", subscription_id)
        async with db.connection(self._pool) as connection:
            row = await store.get(connection, subscription_id, scope)
        if row is None:
            raise SubscriptionNotFound.of(subscription_id)
        return row

    async def _create(self, wanted: store.Wanted, tenant: Tenant) -> SubscriptionRow:
        """Return the living subscription for a request. One that is being deleted is deleted first."""
        async with db.transaction(self._pool) as connection:
            # The provider may push before the tenant's change has been followed here.
            await tenants.ensure(connection, tenant)
            row, is_new = await store.insert(connection, wanted)
        if row.includes_resource_data != wanted.includes_resource_data and row.state not in ENDING:
            raise SubscriptionDiffers.of(row.subscription_id, "includes_resource_data")
        try:
            return await self._step(row.subscription_id, is_done=_is_made)
        except FailedPrecondition:
            # A person has to fix this failure first. The caller has been refused, so a new row is not retried.
            if is_new:
                # The tenant's new state may have made it due: then a loop may hold its lease.
                await self._as_soon_as_possible(lambda: self._forget(row.subscription_id))
            raise

    async def _forget(self, subscription_id: str) -> bool:
        async with db.transaction(self._pool) as connection:
            return await store.forget(connection, subscription_id, self._clock.now())

    async def _as_soon_as_possible(self, act: Callable[[], Awaitable[bool]]) -> None:
        """Act as soon as no other process holds a lease on the tenant; give up when that takes too long."""
        deadline = self._clock.monotonic() + WAIT_FOR_LEASE_SECONDS
        while not await act():
            if self._clock.monotonic() >= deadline:
                return
            await asyncio.sleep(LEASE_POLL_SECONDS)

    async def _step(self, subscription_id: str, is_done: Callable[[SubscriptionRow], bool]) -> SubscriptionRow:
        """Execute the step as soon as no other process holds a lease on the tenant; leave it to the loop otherwise.

        Raises:
            ProviderThrottled: The provider has asked to wait, and the time is not over.
            MeshError: The step failed.
        """

        async def act() -> bool:
            found = await self.get(subscription_id, None)
            if is_done(found):
                return True
            self._check_throttling(found)
            return await self._reconciler.process(subscription_id)

        await self._as_soon_as_possible(act)
        return await self.get(subscription_id, None)

    def _check_throttling(self, row: SubscriptionRow) -> None:
        if row.failure_reason != ProviderThrottled.reason or row.renew_at is None:
            return
        left = row.renew_at - self._clock.now()
        if left > timedelta():
            raise ProviderThrottled(metadata={"provider": row.provider}, retry_after=left)

    def _wanted(self, request: CreateSubscriptionRequest, tenant: Tenant) -> store.Wanted:
        is_google = tenant.provider == google.PROVIDER
        mode = self._mode(request.delivery_mode, tenant)
        return store.Wanted(
            tenant_id=tenant.tenant_id,
            provider=tenant.provider,
            folder_id="" if is_google else _folder(request),
            label_ids=_labels(request) if is_google else (),
            change_types=_change_types(request.change_types),
            delivery_mode=mode,
            includes_resource_data=self._with_data(request, mode, is_google=is_google),
            state=SUBSCRIPTION_STATE_PENDING,
            now=self._clock.now(),
        )

    def _with_data(self, request: CreateSubscriptionRequest, mode: int, *, is_google: bool) -> bool:
        if not request.includes_resource_data:
            return False
        if is_google or mode != DELIVERY_MODE_PUSH:
            raise FieldInvalid.of("includes_resource_data", "is for pushes of Microsoft")
        if not self._accepts_resource_data:
            raise ResourceDataNotAccepted.of("MAILMESH_INGEST_RESOURCE_DATA")
        return True

    def _mode(self, asked: int, tenant: Tenant) -> int:
        # Graph pushes no change of a shared mailbox to the grant of a person.
        if tenant.owner_tenant_id and asked == DELIVERY_MODE_PUSH:
            raise FieldInvalid.of("delivery_mode", "must be poll for a shared mailbox")
        can_push = tenant.provider in self._pushing and not tenant.owner_tenant_id
        if asked == DELIVERY_MODE_UNSPECIFIED:
            return DELIVERY_MODE_PUSH if can_push else DELIVERY_MODE_POLL
        if asked not in (DELIVERY_MODE_PUSH, DELIVERY_MODE_POLL):
            raise FieldInvalid.of("delivery_mode", "must be push or poll")
        # Without any way for notifications the address is missing; with one, Google names the topic that is missing.
        if asked == DELIVERY_MODE_PUSH and not can_push and (tenant.provider != google.PROVIDER or not self._pushing):
            raise PublicUrlUnset(subject="MAILMESH_PUBLIC_URL", metadata={"setting": "MAILMESH_PUBLIC_URL"})
        return asked


def _is_made(row: SubscriptionRow) -> bool:
    return row.state in (SUBSCRIPTION_STATE_ACTIVE, SUBSCRIPTION_STATE_POLLING, SUBSCRIPTION_STATE_DELETED)


def _folder(request: CreateSubscriptionRequest) -> str:
    if request.label_ids:
        raise FieldInvalid.of("label_ids", "is for Google; Microsoft has folders")
    if request.all_mail and request.folder_id:
        raise FieldInvalid.of("folder_id", "cannot be given together with all_mail")
    if len(request.folder_id) > MAX_FOLDER_CHARACTERS or not request.folder_id.isprintable():
        raise FieldInvalid.of("folder_id", f"must be an id of at most {MAX_FOLDER_CHARACTERS} characters")
    return "" if request.all_mail else request.folder_id or "inbox"


def _labels(request: CreateSubscriptionRequest) -> tuple[str, ...]:
    if request.folder_id:
        raise FieldInvalid.of("folder_id", "is for Microsoft; Google has labels")
    if request.all_mail and request.label_ids:
        raise FieldInvalid.of("label_ids", "cannot be given together with all_mail")
    labels = tuple(sorted(set(request.label_ids)))
    if len(labels) > MAX_LABELS or any(not _is_label(label) for label in labels):
        raise FieldInvalid.of(
            "label_ids", f"must be at most {MAX_LABELS} ids of at most {MAX_LABEL_CHARACTERS} characters"
        )
    return () if request.all_mail else labels or ("INBOX",)


def _is_label(label: str) -> bool:
    return 0 < len(label) <= MAX_LABEL_CHARACTERS and label.isprintable() and "," not in label


def _change_types(asked: Sequence[str]) -> tuple[str, ...]:
    unknown = sorted(set(asked) - set(CHANGE_TYPES))
    if unknown:
        raise FieldInvalid.of("change_types", f"must be of {', '.join(CHANGE_TYPES)}")
    return tuple(sorted(set(asked))) or CHANGE_TYPES
