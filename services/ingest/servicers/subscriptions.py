"""SubscriptionService: creates, lists, renews and deletes subscriptions."""

import asyncio
from dataclasses import asdict
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from typing_extensions import override

from mailmesh.ingest.v1 import subscription_service_pb2 as pb
from mailmesh.ingest.v1.subscription_service_pb2_grpc import SubscriptionServiceServicer
from services.ingest.store import subscription_health
from services.ingest.store import subscriptions as store
from services.ingest.store.subscription_rows import SubscriptionRow
from services.ingest.subscriptions.use_cases import BATCH_AT_ONCE, SubscriptionUseCases
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import FieldInvalid, MeshError
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, Position, is_row_id, is_time, page_size
from services.meshkit.status import to_status

MAX_BATCH = 1000


class SubscriptionServicer(SubscriptionServiceServicer):
    """Creates, lists, renews and deletes subscriptions of the tenants in the caller's scope.

    Args:
        pool: Connections to PostgreSQL.
        use_cases: The use cases of subscriptions.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, use_cases: SubscriptionUseCases, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._use_cases = use_cases
        self._page_tokens = PageTokens(columns=(is_time, is_row_id))

    @override
    async def CreateSubscription(
        self, request: pb.CreateSubscriptionRequest, context: Any
    ) -> pb.CreateSubscriptionResponse:
        row = await self._use_cases.create(request, current_caller().tenants)
        return pb.CreateSubscriptionResponse(subscription=_message(row))

    @override
    async def BatchCreateSubscriptions(
        self, request: pb.BatchCreateSubscriptionsRequest, context: Any
    ) -> pb.BatchCreateSubscriptionsResponse:
        if len(request.requests) > MAX_BATCH:
            raise FieldInvalid.of("requests", f"must not be more than {MAX_BATCH}")
        scope = current_caller().tenants
        slots = asyncio.Semaphore(BATCH_AT_ONCE)

        async def one(wanted: pb.CreateSubscriptionRequest) -> pb.SubscriptionResult:
            async with slots:
                return await self._result(wanted, scope)

        results = await asyncio.gather(*(one(wanted) for wanted in request.requests))
        return pb.BatchCreateSubscriptionsResponse(results=results)

    @override
    async def ListSubscriptions(
        self, request: pb.ListSubscriptionsRequest, context: Any
    ) -> pb.ListSubscriptionsResponse:
        if request.tenant_id:
            check_id("tenant_id", request.tenant_id)
        states = sorted(set(request.states))
        if not set(states) <= set(pb.SubscriptionState.values()):
            raise FieldInvalid.of("states", "must be states of subscriptions")
        size = page_size(request.page_size)
        async with db.connection(self._pool) as connection:
            rows = await store.page(
                connection,
                current_caller().tenants,
                tenant_id=request.tenant_id,
                states=states,
                after=_after(self._page_tokens.read(request)),
                limit=size + 1,
            )
        position: Position | None = None
        if len(rows) > size:
            last = rows[size - 1]
            position = [last.created_at.isoformat(), last.subscription_id]
        return pb.ListSubscriptionsResponse(
            subscriptions=[_message(row) for row in rows[:size]],
            next_page_token=self._page_tokens.write(request, position),
        )

    @override
    async def GetSubscriptionHealth(
        self, request: pb.GetSubscriptionHealthRequest, context: Any
    ) -> pb.GetSubscriptionHealthResponse:
        if request.tenant_id:
            check_id("tenant_id", request.tenant_id)
        async with db.connection(self._pool) as connection:
            found = await subscription_health.read(
                connection, current_caller().tenants, request.tenant_id, self._clock.now()
            )
        counts = [pb.SubscriptionHealth(**asdict(one)) for one in found]
        return pb.GetSubscriptionHealthResponse(counts=counts)

    @override
    async def GetSubscription(self, request: pb.GetSubscriptionRequest, context: Any) -> pb.GetSubscriptionResponse:
        row = await self._use_cases.get(request.subscription_id, current_caller().tenants)
        return pb.GetSubscriptionResponse(subscription=_message(row))

    @override
    async def RenewSubscription(
        self, request: pb.RenewSubscriptionRequest, context: Any
    ) -> pb.RenewSubscriptionResponse:
        row = await self._use_cases.renew(request.subscription_id, current_caller().tenants)
        return pb.RenewSubscriptionResponse(subscription=_message(row))

    @override
    async def DeleteSubscription(
        self, request: pb.DeleteSubscriptionRequest, context: Any
    ) -> pb.DeleteSubscriptionResponse:
        row = await self._use_cases.delete(request.subscription_id, current_caller().tenants)
        return pb.DeleteSubscriptionResponse(subscription=_message(row))

    async def _result(self, wanted: pb.CreateSubscriptionRequest, scope: store.Scope) -> pb.SubscriptionResult:
        try:
            row = await self._use_cases.create(wanted, scope)
        except MeshError as exc:
            return pb.SubscriptionResult(error=to_status(exc))
        return pb.SubscriptionResult(subscription=_message(row))


def _after(position: Position | None) -> tuple[datetime, str] | None:
    if position is None:
        return None
    moment, subscription_id = position
    return datetime.fromisoformat(str(moment)), str(subscription_id)


def _message(row: SubscriptionRow) -> pb.Subscription:
    message = pb.Subscription(
        subscription_id=row.subscription_id,
        tenant_id=row.tenant_id,
        provider=row.provider,
        state=row.state,  # type: ignore[arg-type]
        folder_id=row.folder_id,
        label_ids=row.label_ids,
        change_types=row.change_types,
        delivery_mode=row.delivery_mode,  # type: ignore[arg-type]
        provider_subscription_id=row.provider_subscription_id or "",
        failure_reason=row.failure_reason,
        failure_detail=row.failure_detail,
        failures=row.failures,
        resource=row.resource,  # type: ignore[arg-type]
        calendar_id=row.calendar_id,
        includes_resource_data=row.includes_resource_data,
    )
    for name in _TIMES:
        _set_time(getattr(message, name), getattr(row, name))
    return message


_TIMES = (
    "expires_at",
    "renew_at",
    "last_notification_at",
    "last_renewed_at",
    "created_at",
    "updated_at",
    "covered_from",
)


def _set_time(field: Timestamp, moment: datetime | None) -> None:
    if moment is not None:
        field.FromDatetime(moment)
