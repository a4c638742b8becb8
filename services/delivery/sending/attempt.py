"""One attempt: make the body, sign and send it, and judge the answer."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

import structlog

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from services.delivery import metrics
from services.delivery.endpoints.secrets import Sealer
from services.delivery.errors import TenantNotFound
from services.delivery.sending import bodies
from services.delivery.sending.feed import Feed
from services.delivery.sending.receivers import Receivers
from services.delivery.sending.schedule import Outcome, Schedule
from services.delivery.signature import sign
from services.delivery.store.rows import AttemptRow, Delivery, EndpointRow
from services.egress.faults import EgressError, Fault
from services.meshkit.clock import Clock
from services.meshkit.errors import (
    Aborted,
    DeadlineExceeded,
    MeshError,
    NotFound,
    Overloaded,
    ResourceExhausted,
    Unavailable,
)
from services.meshkit.ids import new_id

logger = structlog.get_logger(__name__)

ANSWER_BYTES = 1024
TESTS = 4
"""Concurrent tests of one process. Callers may ask for any number, and each can hold a lookup of a silent name."""
_CONTENT_TYPE = {"content-type": "application/json"}
_PASSING = (Unavailable, DeadlineExceeded, ResourceExhausted, Aborted)
"""Failures of reading an event that pass without an attempt being counted."""
STATUS_REASON = "HTTP_STATUS"
"""The reason of an answer whose status is no success."""


@dataclass(frozen=True)
class Tried:
    """An attempt and what it means.

    Args:
        delivery: The delivery that was attempted.
        row: The attempt as it is kept.
        outcome: Its meaning for the endpoint.
    """

    delivery: Delivery
    row: AttemptRow
    outcome: Outcome


class Attempts:
    """Makes attempts.

    Args:
        receivers: The way to receivers.
        sealer: Opens the signing keys of endpoints.
        feed: Reads whole events for the full view.
        schedule: Reads the pause that a receiver asks for.
        clock: The time.
    """

    def __init__(self, receivers: Receivers, sealer: Sealer, feed: Feed, schedule: Schedule, clock: Clock) -> None:
        self._receivers = receivers
        self._sealer = sealer
        self._feed = feed
        self._schedule = schedule
        self._clock = clock
        self._tests = asyncio.Semaphore(TESTS)

    async def test(self, row: EndpointRow) -> Tried:
        """Send one webhook that announces no event. A few at a time: tests of slow names leave room for deliveries.

        Raises:
            KeyUnavailable, SealBroken: The endpoint's secrets do not open.
        """
        now = self._clock.now().isoformat()
        one = Delivery(new_id(), "", bodies.TEST_TYPE, "", b"")
        async with self._tests:
            return await self._send(row, one, bodies.test_body(row, now))

    async def deliver(self, row: EndpointRow, delivery: Delivery) -> Tried:
        """Attempt a delivery.

        Raises:
            KeyUnavailable, SealBroken: The endpoint's secrets do not open.
            TenantNotFound: The endpoint's filter excludes the event's tenant. Nothing was sent.
            Overloaded: This machine has no room for a connection.
            MeshError: The event cannot be read now. Nothing was sent.
        """
        if not row.covers(delivery.tenant_id):
            raise TenantNotFound.of(delivery.tenant_id)
        started_at, began = self._clock.now(), time.monotonic()
        try:
            body = await self._body(row, delivery)
        except _PASSING:
            raise
        except MeshError as exc:  # Reading the event again at once would fail again, for ever: the schedule bounds it.
            reason = exc.reason or exc.code
            made = _attempt(delivery, started_at, time.monotonic() - began, 0, reason, b"")
            return Tried(delivery, made, Outcome(False, 0, reason, None, is_first=False))  # noqa: FBT003 - a field
        return await self._send(row, delivery, body)

    async def _body(self, row: EndpointRow, delivery: Delivery) -> bytes:
        if row.view != pb2.ENDPOINT_VIEW_FULL:
            return delivery.body
        try:
            return bodies.full_body(await self._feed.event(delivery.event_id))
        except NotFound:  # past retention: the ids are all that is left
            return delivery.body

    async def _send(self, row: EndpointRow, delivery: Delivery, body: bytes) -> Tried:
        started_at, began = self._clock.now(), time.monotonic()
        keys = [one.key for one in self._sealer.signing_keys(row, started_at)]
        signed = sign(keys, delivery.event_id, started_at, body)
        status, reason, answer, asked = 0, "", b"", None
        try:
            got = await self._receivers.post(row, body, {**signed, **_CONTENT_TYPE})
        except EgressError as exc:
            if exc.fault is Fault.MACHINE_BUSY:
                raise Overloaded from exc
            reason = exc.fault.name
        else:
            status, answer = got.status, got.body[:ANSWER_BYTES]
            is_success = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
            reason = "" if is_success else STATUS_REASON
            asked = None if is_success else self._schedule.asked_pause(got.retry_after, self._clock.now())
        seconds = time.monotonic() - began
        made = _attempt(delivery, started_at, seconds, status, reason, answer)
        return Tried(delivery, made, Outcome(not reason, status, reason, asked, delivery.attempts == 0))


def _attempt(
    delivery: Delivery, started_at: datetime, seconds: float, status: int, reason: str, answer: bytes
) -> AttemptRow:
    """Count an attempt, and return it as it is kept."""
    metrics.ATTEMPT_SECONDS.observe(seconds)
    metrics.ATTEMPTS.labels("failed" if reason else "delivered").inc()
    return AttemptRow(
        attempt_id=new_id(),
        event_id=delivery.event_id,
        tenant_id=delivery.tenant_id,
        event_type=delivery.event_type,
        number=delivery.attempts + 1,
        started_at=started_at,
        duration_ms=round(seconds * 1000),
        is_delivered=not reason,
        status=status,
        reason=reason,
        answer=answer,
    )
