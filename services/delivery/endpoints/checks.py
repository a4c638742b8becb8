"""The checks of what callers ask for: every value is hostile until it was checked here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from services.delivery.endpoints import conditions
from services.delivery.errors import TenantNotFound
from services.egress.addresses import EgressRules
from services.egress.headers import headers_fault
from services.egress.urls import url_fault
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import Caller
from services.meshkit.ids import check_id
from services.meshkit.secret import Secret
from services.providers.abilities import CALENDAR_READ, CONVERSATION_READ

USUAL_KINDS = ("mail", "send", "tenant")
"""The kinds of events that an endpoint gets without a choice: those that the ability mail.read covers."""
NEEDED: Final = {"calendar": CALENDAR_READ, "conversation": CONVERSATION_READ}
"""The ability that a key needs for an endpoint with events of another kind, beside mail.read."""
KINDS = (*USUAL_KINDS, "workflow", *NEEDED)
"""All kinds that endpoints get. The ability mail.read covers workflows, too, but an endpoint has to name them."""
MAX_NAME = 200
MAX_TENANTS = 1000
MAX_VALUES = 100
MAX_VALUE_CHARACTERS = 100
MAX_HEADER_BYTES = 8 * 1024
SHORTEST, LONGEST, USUAL = timedelta(seconds=1), timedelta(seconds=30), timedelta(seconds=15)
LONGEST_OVERLAP, USUAL_OVERLAP = timedelta(days=7), timedelta(days=1)
MAX_CONCURRENCY, USUAL_CONCURRENCY = 50, 8
MAX_RATE = 1000


@dataclass(frozen=True)
class Selection:
    """The checked filter of an endpoint, by the names of the table's columns."""

    tenant_ids: list[str]
    providers: list[str]
    event_types: list[str]
    conditions: bytes = b""


def selection(asked: pb2.EndpointFilter, caller: Caller) -> Selection:
    """Check a filter. A caller whose key is limited to tenants gets no others, and none that are connected later.

    Raises:
        FieldInvalid: A value is malformed, of a kind that endpoints do not get, or too many are given; or the
            caller's key is limited to tenants and has none.
        TenantNotFound: The caller may not see a tenant.
        KeyLacksAbility: The caller's key may not read events of a kind.
    """
    _bound("filter.tenant_ids", asked.tenant_ids, MAX_TENANTS)
    tenants = {check_id(f"filter.tenant_ids[{at}]", one) for at, one in enumerate(asked.tenant_ids)}
    if caller.tenants is not None:
        tenants = tenants or set(caller.tenants)
        if not tenants:  # An empty filter would mean all tenants.
            raise FieldInvalid.of(
                "filter.tenant_ids", "must name a tenant: the key is limited to tenants, and has none"
            )
        if unseen := tenants - caller.tenants:
            raise TenantNotFound.of(min(unseen))
    return Selection(
        sorted(tenants),
        _values("filter.providers", asked.providers),
        _types(asked.event_types, caller),
        conditions.checked(asked.conditions),
    )


def name(value: str) -> str:
    """Check a name for people.

    Raises:
        FieldInvalid: It is too long, or holds a character that acts.
    """
    if len(value) > MAX_NAME or "\0" in value:
        raise FieldInvalid.of("display_name", f"must have at most {MAX_NAME} characters")
    return value


def view(value: int) -> int:
    """Check a view, and return the usual one without a choice.

    Raises:
        FieldInvalid: There is no such view.
    """
    if value not in pb2.EndpointView.values():
        raise FieldInvalid.of("view", "must be ENDPOINT_VIEW_THIN or ENDPOINT_VIEW_FULL")
    return value or pb2.ENDPOINT_VIEW_THIN


def signature(value: int) -> int:
    """Check a version of signatures, and return the usual one without a choice.

    Raises:
        FieldInvalid: There is no such version.
    """
    if value not in pb2.EndpointSignature.values():
        raise FieldInvalid.of("signature", "must be ENDPOINT_SIGNATURE_V1 or ENDPOINT_SIGNATURE_V1A")
    return value or pb2.ENDPOINT_SIGNATURE_V1


def timeout_ms(value: Duration | None) -> int:
    """Check a timeout; None means the usual one.

    Raises:
        FieldInvalid: It is out of its range.
    """
    if value is None:
        return _milliseconds(USUAL)
    # Compared as numbers: a duration from outside may be larger than a timedelta can be.
    milliseconds = value.seconds * 1000 + value.nanos // 1_000_000
    if not _milliseconds(SHORTEST) <= milliseconds <= _milliseconds(LONGEST):
        raise FieldInvalid.of("timeout", "must be from 1 to 30 seconds")
    return milliseconds


def overlap(value: Duration | None) -> timedelta:
    """Check the time for which a previous key signs; None means the usual one.

    Raises:
        FieldInvalid: It is out of its range.
    """
    if value is None:
        return USUAL_OVERLAP
    if not 0 <= value.seconds + value.nanos / 1e9 <= LONGEST_OVERLAP.total_seconds():
        raise FieldInvalid.of("overlap", "must be from 0 to 7 days")
    return timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)


def moment(field: str, value: Timestamp) -> datetime:
    """Check a time.

    Raises:
        FieldInvalid: It is out of its range.
    """
    try:
        return value.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise FieldInvalid.of(field, "must be a time of the years 1 to 9999") from None


def concurrency(value: int) -> int:
    """Check the number of requests at the same time; 0 means the usual one.

    Raises:
        FieldInvalid: It is out of its range.
    """
    if not 0 <= value <= MAX_CONCURRENCY:
        raise FieldInvalid.of("concurrency", f"must be from 0 to {MAX_CONCURRENCY}")
    return value or USUAL_CONCURRENCY


def rate(value: int) -> int:
    """Check the number of requests in a second; 0 means no bound.

    Raises:
        FieldInvalid: It is out of its range.
    """
    if not 0 <= value <= MAX_RATE:
        raise FieldInvalid.of("rate", f"must be from 0 to {MAX_RATE}")
    return value


def url(value: str, rules: EgressRules) -> str:
    """Check an address as it is written; each dial is judged again when it is made.

    Raises:
        FieldInvalid: It breaks a rule.
    """
    if fault := url_fault(value, rules):
        raise FieldInvalid.of("url", fault)
    return value


def headers(asked: Sequence[pb2.EndpointHeader]) -> dict[str, Secret]:
    """Check the headers of an endpoint. The messages repeat no value.

    Raises:
        FieldInvalid: A name or value is malformed or belongs to the connection or the signature, or they are too many.
    """
    found = {one.name.lower(): Secret(one.value) for one in asked if one.value}
    if len(found) < len(asked):
        raise FieldInvalid.of("headers", "must have each name once, in any case, and values that are not empty")
    if fault := headers_fault(found):
        raise FieldInvalid.of("headers", fault)
    if sum(len(one.name) + len(one.value) for one in asked) > MAX_HEADER_BYTES:
        raise FieldInvalid.of("headers", f"must have at most {MAX_HEADER_BYTES} bytes together")
    return found


def hidden_kinds(caller: Caller) -> list[str]:
    """Return the kinds of events that a caller's key may not read: endpoints that get them do not exist for it."""
    return [kind for kind, ability in NEEDED.items() if not caller.has_ability(ability)]


def _types(values: Sequence[str], caller: Caller) -> list[str]:
    types = _values("filter.event_types", values) or [f"{kind}.*" for kind in USUAL_KINDS]
    for at, value in enumerate(types):
        kind = value.partition(".")[0]
        if kind not in KINDS:
            raise FieldInvalid.of(f"filter.event_types[{at}]", f"must be of a kind that is one of {', '.join(KINDS)}")
        if kind in NEEDED:
            caller.require_ability(NEEDED[kind])
    return types


def _values(field: str, values: Sequence[str]) -> list[str]:
    _bound(field, values, MAX_VALUES)
    for at, value in enumerate(values):
        if not 1 <= len(value) <= MAX_VALUE_CHARACTERS or "\0" in value:
            raise FieldInvalid.of(f"{field}[{at}]", f"must have 1 to {MAX_VALUE_CHARACTERS} characters")
    return sorted(set(values))


def _bound(field: str, values: Sequence[str], most: int) -> None:
    if len(values) > most:
        raise FieldInvalid.of(field, f"must not have more than {most} values")


def _milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
