"""InboxService: leases items to Processor's workers and settles the leases."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from typing_extensions import override

from mailmesh.ingest.v1 import inbox_service_pb2 as pb2
from mailmesh.ingest.v1.inbox_item_pb2 import ReconcileReason
from mailmesh.ingest.v1.inbox_service_pb2_grpc import InboxServiceServicer
from services.ingest.store import calendar_subscriptions, claims, inbox_status, leases, reconciles
from services.ingest.store.calendar_subscriptions import Followed
from services.ingest.store.claims import ClaimRequest, Ending
from services.ingest.store.dead_letter_writer import Burial
from services.ingest.store.leases import ItemRelease
from services.ingest.store.reconciles import ReconcileRequest
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import check_id
from services.meshkit.text import is_storable

Context = grpc.aio.ServicerContext[Any, Any]

MAX_ITEMS: Final = 500
_DEFAULT_ITEMS: Final = 100
_MAX_TENANTS: Final = 50
_MIN_LEASE: Final = 5.0
_MAX_LEASE: Final = 600.0
_DEFAULT_LEASE: Final = 60.0
_MAX_DETAIL: Final = 500
_MAX_REASON: Final = 100
_MAX_WORKER: Final = 200
_MAX_CALENDARS: Final = 1000
_MAX_CALENDAR_ID: Final = 1024
_MAX_LISTED: Final = 1000
_DEFAULT_LISTED: Final = 50


class InboxServicer(InboxServiceServicer):
    """Claims items, settles leases and counts the inbox.

    Args:
        pool: Connections to PostgreSQL.
        lease_deaths: Leases that may expire over an item before it is buried.
        wake: Called with a tenant that has something due and is not leased.
        on_followed: Called when the steps of calendars' subscriptions are due.
        clock: The time.
    """

    def __init__(
        self,
        pool: db.Pool,
        lease_deaths: int,
        wake: Callable[[str], None],
        on_followed: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._on_followed = on_followed
        self._clock = clock
        self._lease_deaths = lease_deaths
        self._wake = wake

    @override
    async def ClaimItems(self, request: pb2.ClaimItemsRequest, context: Context) -> pb2.ClaimItemsResponse:
        wanted = ClaimRequest(
            worker_id=_short("worker_id", request.worker_id, _MAX_WORKER),
            max_items=_in_range("max_items", request.max_items, MAX_ITEMS, _DEFAULT_ITEMS),
            max_tenants=_in_range("max_tenants", request.max_tenants, _MAX_TENANTS, 1),
            lease_seconds=_lease_seconds(request),
            tenant_id=check_id("tenant_id", request.tenant_id) if request.tenant_id else "",
            includes_idle=request.hold_idle,
        )
        if wanted.includes_idle and not wanted.tenant_id:
            raise FieldInvalid.of("hold_idle", "needs a tenant_id")
        endings = _endings(request.endings)
        if not endings:
            return pb2.ClaimItemsResponse(leases=await claims.claim(self._pool, wanted, self._lease_deaths))
        given, ended = await claims.end_and_claim(self._pool, wanted, self._lease_deaths, endings)
        answers = [pb2.LeaseEnded(is_lost=one.is_lost, has_more_items=one.has_more_items) for one in ended]
        return pb2.ClaimItemsResponse(leases=given, endings=answers)

    @override
    async def ExtendLease(self, request: pb2.ExtendLeaseRequest, context: Context) -> pb2.ExtendLeaseResponse:
        tenant_id = check_id("tenant_id", request.tenant_id)
        until = await leases.extend(self._pool, tenant_id, request.fence, _lease_seconds(request))
        response = pb2.ExtendLeaseResponse()
        response.lease_expires_at.FromDatetime(until)
        return response

    @override
    async def AckItems(self, request: pb2.AckItemsRequest, context: Context) -> pb2.AckItemsResponse:
        tenant_id = check_id("tenant_id", request.tenant_id)
        item_ids = _ids("item_ids", request.item_ids)
        is_due = await leases.ack(self._pool, tenant_id, request.fence, item_ids, is_kept=request.keep_lease)
        return pb2.AckItemsResponse(is_due=is_due)

    @override
    async def ReleaseItems(self, request: pb2.ReleaseItemsRequest, context: Context) -> pb2.ReleaseItemsResponse:
        tenant_id = check_id("tenant_id", request.tenant_id)
        is_due = await leases.release(self._pool, tenant_id, request.fence, _releases(request.items))
        self._wake_if(tenant_id, is_due=is_due)
        return pb2.ReleaseItemsResponse()

    @override
    async def BuryItems(self, request: pb2.BuryItemsRequest, context: Context) -> pb2.BuryItemsResponse:
        tenant_id = check_id("tenant_id", request.tenant_id)
        burials = [Burial(item.item_id, item.reason or "UNEXPECTED", item.detail) for item in _releases(request.items)]
        ids, is_due = await leases.bury(self._pool, tenant_id, request.fence, burials)
        self._wake_if(tenant_id, is_due=is_due)
        return pb2.BuryItemsResponse(dead_letter_ids=ids)

    @override
    async def EnqueueReconcile(
        self, request: pb2.EnqueueReconcileRequest, context: Context
    ) -> pb2.EnqueueReconcileResponse:
        tenant_id = check_id("tenant_id", request.tenant_id)
        if request.reason not in ReconcileReason.values():
            raise FieldInvalid.of("reason", "is not known")
        wanted = ReconcileRequest(
            request.reason,
            since=_time("since", request.since) if request.HasField("since") else None,
            not_before=_time("not_before", request.not_before) if request.HasField("not_before") else None,
        )
        enqueued = await reconciles.enqueue_for_tenant(self._pool, tenant_id, wanted)
        self._wake_if(tenant_id, is_due=enqueued.is_due)
        return pb2.EnqueueReconcileResponse(item_id=enqueued.item_id, was_waiting=enqueued.was_waiting)

    @override
    async def SetFollowedCalendars(
        self, request: pb2.SetFollowedCalendarsRequest, context: Context
    ) -> pb2.SetFollowedCalendarsResponse:
        tenant_id = check_id("tenant_id", request.tenant_id)
        if len(request.calendars) > _MAX_CALENDARS:
            raise FieldInvalid.of("calendars", f"must not be more than {_MAX_CALENDARS}")
        calendars = [_followed(index, one) for index, one in enumerate(request.calendars)]
        if await calendar_subscriptions.set_followed(
            self._pool, tenant_id, request.fence, calendars, self._clock.now()
        ):
            self._on_followed()
        async with db.connection(self._pool) as connection:
            deliveries = await calendar_subscriptions.deliveries(connection, tenant_id)
        return pb2.SetFollowedCalendarsResponse(deliveries=deliveries)

    @override
    async def GetInboxStatus(self, request: pb2.GetInboxStatusRequest, context: Context) -> pb2.GetInboxStatusResponse:
        tenant_ids = [check_id(f"tenant_ids[{index}]", tenant_id) for index, tenant_id in enumerate(request.tenant_ids)]
        listed = _in_range("max_tenants", request.max_tenants, _MAX_LISTED, _DEFAULT_LISTED)
        async with db.connection(self._pool) as connection:
            return await inbox_status.read(connection, tenant_ids, listed)

    def _wake_if(self, tenant_id: str, *, is_due: bool) -> None:
        if is_due:
            self._wake(tenant_id)


def _followed(index: int, one: pb2.FollowedCalendar) -> Followed:
    field = f"calendars[{index}]"
    provider_id = one.provider_calendar_id
    if not 0 < len(provider_id) <= _MAX_CALENDAR_ID or not is_storable(provider_id):
        raise FieldInvalid.of(f"{field}.provider_calendar_id", f"must have 1 to {_MAX_CALENDAR_ID} characters")
    return Followed(check_id(f"{field}.calendar_id", one.calendar_id), provider_id, one.is_default)


def _releases(items: Sequence[pb2.ReleasedItem]) -> list[ItemRelease]:
    ids = _ids("items", (item.item_id for item in items))
    return [
        ItemRelease(
            item_id=item_id,
            not_before=_time("items.not_before", item.not_before) if item.HasField("not_before") else None,
            reason=_short("items.reason", item.reason, _MAX_REASON),
            detail=item.detail[:_MAX_DETAIL],
            is_forgiven=item.is_attempt_forgiven,
        )
        for item_id, item in zip(ids, items, strict=True)
    ]


def _endings(asked: Sequence[pb2.LeaseEnding]) -> list[Ending]:
    if len(asked) > _MAX_TENANTS:
        raise FieldInvalid.of("endings", f"must not be more than {_MAX_TENANTS}")
    endings = [
        Ending(check_id("endings.tenant_id", one.tenant_id), one.fence, _ids("endings.item_ids", one.item_ids))
        for one in asked
    ]
    if len({ending.tenant_id for ending in endings}) < len(endings):
        raise FieldInvalid.of("endings", "must each be of another tenant")
    if sum(len(ending.item_ids) for ending in endings) > MAX_ITEMS:
        raise FieldInvalid.of("endings", f"must not acknowledge more than {MAX_ITEMS} items")
    return endings


def _ids(field: str, values: Iterable[str]) -> list[str]:
    ids = [check_id(f"{field}[{index}]", value) for index, value in enumerate(values)]
    if len(ids) > MAX_ITEMS:
        raise FieldInvalid.of(field, f"must not be more than {MAX_ITEMS}")
    return ids


def _in_range(field: str, value: int, most: int, default: int) -> int:
    if not 0 <= value <= most:
        raise FieldInvalid.of(field, f"must be from 1 to {most}, or 0 for {default}")
    return value or default


def _lease_seconds(request: pb2.ClaimItemsRequest | pb2.ExtendLeaseRequest) -> float:
    if not request.HasField("lease"):
        return _DEFAULT_LEASE
    lease: Duration = request.lease
    seconds = lease.seconds + lease.nanos / 1e9
    if not _MIN_LEASE <= seconds <= _MAX_LEASE:
        raise FieldInvalid.of("lease", f"must be from {_MIN_LEASE:g} to {_MAX_LEASE:g} seconds")
    return seconds


def _time(field: str, value: Timestamp) -> datetime:
    try:
        return value.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as exc:
        raise FieldInvalid.of(field, "is not a time") from exc


def _short(field: str, value: str, most: int) -> str:
    if len(value) > most:
        raise FieldInvalid.of(field, f"must not be longer than {most} characters")
    return value
