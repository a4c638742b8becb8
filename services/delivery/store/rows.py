"""Endpoints, deliveries and attempts as they are stored."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2


class State(IntEnum):
    """The states of an endpoint; the numbers are those of the contract and of the table."""

    ACTIVE = pb2.ENDPOINT_STATE_ACTIVE
    FAILING = pb2.ENDPOINT_STATE_FAILING
    PAUSED = pb2.ENDPOINT_STATE_PAUSED
    DISABLED = pb2.ENDPOINT_STATE_DISABLED
    GONE = pb2.ENDPOINT_STATE_GONE


DELIVERING = (State.ACTIVE, State.FAILING)
"""The states in which events are delivered."""


@dataclass(frozen=True)
class EndpointRow:
    """An endpoint.

    Args:
        endpoint_id: The endpoint's UUID.
        display_name: Its name for people.
        url: The address. It may hold a secret of the receiver's: never log it.
        tenant_ids: The tenants whose events are delivered; none means all.
        providers: The providers; none means all.
        event_types: The types, and kinds such as "mail.*". Never empty.
        view: The content of webhooks, a value of the contract.
        header_names: The names of its own headers, sorted.
        sealed_headers: Its own headers.
        timeout_ms: The longest time for an answer.
        concurrency: The largest number of requests at the same time.
        signature: The version of the signature, a value of the contract.
        sealed_keys: Its signing keys.
        public_key: The public key; empty for a shared one.
        sealed_by: The id of the key that sealed both.
        created_at: When it was created.
        state: Its state.
        reason: The reason of a failure, or of the end of delivery; empty without one.
        failures: Failed attempts since the last success.
        failing_since: When the first of them was, or None.
        succeeded_at: When the last success was, or None.
        throttled_until: The time before which nothing is sent, or None.
        position: The cursor in the event stream up to which events are in the queue or delivered.
        revision: Grows with each change that a caller makes.
        rate: The largest number of requests in a second; 0 means no bound.
        conditions: The conditions on mails, as a serialized filter of the contract; empty without any.
        warnings: Quarters of the time to its end of which operators were warned since the last success; 0 without one.
        sealed_access: The sealed client certificate and client credentials; empty without both.
        certificate_ends_at: The end of the client certificate, or None.
        token_url: The address of the token endpoint; empty without client credentials. Never log it, like `url`.
    """

    endpoint_id: str
    display_name: str
    url: str
    tenant_ids: list[str]
    providers: list[str]
    event_types: list[str]
    view: int
    header_names: list[str]
    sealed_headers: bytes
    timeout_ms: int
    concurrency: int
    signature: int
    sealed_keys: bytes
    public_key: str
    sealed_by: str
    created_at: datetime
    state: State
    reason: str
    failures: int
    failing_since: datetime | None
    succeeded_at: datetime | None
    throttled_until: datetime | None
    position: str
    revision: int
    rate: int = 0
    conditions: bytes = b""
    warnings: int = 0
    sealed_access: bytes = b""
    certificate_ends_at: datetime | None = None
    token_url: str = ""

    def covers(self, tenant_id: str) -> bool:
        """Tell whether the filter includes a tenant."""
        return not self.tenant_ids or tenant_id in self.tenant_ids


@dataclass(frozen=True)
class Delivery:
    """An event that waits to be delivered to one endpoint.

    Args:
        event_id: The event's UUID.
        tenant_id: The event's tenant; empty for a test.
        event_type: Its type.
        order_key: The message; deliveries with the same key are made one after the other.
        body: The thin form of the webhook, which holds no content of mail.
        attempts: Failed attempts so far.
        wait_seconds: The time until it is due, by the database's clock; not above zero when it is due.
    """

    event_id: str
    tenant_id: str
    event_type: str
    order_key: str
    body: bytes
    attempts: int = 0
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class Count:
    """A number of events.

    Args:
        number: The number.
        has_more: Whether counting ended early: then there are at least so many.
    """

    number: int
    has_more: bool = False


@dataclass(frozen=True)
class Place:
    """A place in the event stream.

    Args:
        cursor: The cursor there.
        events: The count of an endpoint's events after it.
    """

    cursor: str
    events: Count


@dataclass(frozen=True)
class AttemptRow:
    """One request to a receiver.

    Args:
        attempt_id: Its UUID, which grows with time.
        event_id: The event.
        tenant_id: The event's tenant.
        event_type: The event's type.
        number: Counts the attempts of the event, from 1.
        started_at: When it began.
        duration_ms: Until the answer or the failure.
        is_delivered: Whether the receiver accepted it.
        status: The HTTP status; 0 without an answer.
        reason: Why it failed; empty otherwise.
        answer: The beginning of the answer.
        next_attempt_at: When the next one is due, or None.
    """

    attempt_id: str
    event_id: str
    tenant_id: str
    event_type: str
    number: int
    started_at: datetime
    duration_ms: int
    is_delivered: bool
    status: int
    reason: str
    answer: bytes
    next_attempt_at: datetime | None = None
