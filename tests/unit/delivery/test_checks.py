"""The checks of what callers ask for."""

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from services.delivery.endpoints import checks
from services.delivery.errors import TenantNotFound
from services.meshkit.errors import FieldInvalid, KeyLacksAbility
from services.meshkit.identity.caller import Caller

MINE, OTHERS = "019a9f0e-7c1e-7000-8000-000000000002", "019a9f0e-7c1e-7000-8000-000000000003"
LIMITED, UNLIMITED = Caller("envoy", "key", tenants=frozenset({MINE})), Caller("envoy", "key")


def test_a_limited_key_makes_endpoints_for_its_own_tenants_only() -> None:
    assert [MINE] == checks.selection(pb2.EndpointFilter(), LIMITED).tenant_ids
    assert [] == checks.selection(pb2.EndpointFilter(), UNLIMITED).tenant_ids
    for asked in ([OTHERS], [MINE, OTHERS]):
        with pytest.raises(TenantNotFound):
            checks.selection(pb2.EndpointFilter(tenant_ids=asked), LIMITED)


def test_a_limited_key_without_a_tenant_gets_no_endpoint_for_all_of_them() -> None:
    with pytest.raises(FieldInvalid):
        checks.selection(pb2.EndpointFilter(), Caller("envoy", "key", tenants=frozenset()))


@pytest.mark.parametrize("asked", [Timestamp(seconds=1 << 60), Timestamp(seconds=-(1 << 60)), Timestamp(nanos=-1)])
def test_a_time_out_of_range_is_refused_by_its_name(asked: Timestamp) -> None:
    with pytest.raises(FieldInvalid, match="exhausted_from"):
        checks.moment("exhausted_from", asked)


def test_an_empty_filter_selects_the_kinds_that_the_ability_covers_and_others_are_refused() -> None:
    assert ["mail.*", "send.*", "tenant.*"] == checks.selection(pb2.EndpointFilter(), UNLIMITED).event_types
    with pytest.raises(FieldInvalid):
        checks.selection(pb2.EndpointFilter(event_types=["weather.*"]), UNLIMITED)


def test_workflows_have_to_be_named_and_need_no_ability_of_their_own() -> None:
    asked = pb2.EndpointFilter(event_types=["workflow.waiting", "workflow.*"])

    assert ["workflow.*", "workflow.waiting"] == checks.selection(asked, UNLIMITED).event_types
    assert "workflow" not in checks.hidden_kinds(UNLIMITED)


@pytest.mark.parametrize("kind", ["calendar", "conversation"])
def test_calendars_and_conversations_need_their_own_ability(kind: str) -> None:
    asked = pb2.EndpointFilter(event_types=[f"{kind}.*"])
    with pytest.raises(KeyLacksAbility):
        checks.selection(asked, UNLIMITED)
    able = Caller("envoy", "key", abilities=frozenset({f"{kind}.read"}))

    assert [f"{kind}.*"] == checks.selection(asked, able).event_types
    assert kind in checks.hidden_kinds(UNLIMITED)
    assert kind not in checks.hidden_kinds(able)


@pytest.mark.parametrize("rate", [-1, 1001])
def test_a_rate_out_of_range_is_refused(rate: int) -> None:
    assert (0, 1000) == (checks.rate(0), checks.rate(1000))
    with pytest.raises(FieldInvalid, match="rate"):
        checks.rate(rate)


@pytest.mark.parametrize(
    "headers",
    [
        [("Webhook-Id", "1")],
        [("Host", "inside")],
        [("X-A", "1"), ("x-a", "2")],
        [("X-A", "1\r\nX-B: 2")],
        [("X-A", "")],
        [("", "1")],
        [(f"X-{number}", "1") for number in range(21)],
    ],
)
def test_headers_that_could_change_the_request_are_refused(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(FieldInvalid) as refused:
        checks.headers([pb2.EndpointHeader(name=name, value=value) for name, value in headers])
    assert "X-B: 2" not in str(refused.value)


@pytest.mark.parametrize("span", [Duration(), Duration(seconds=31), Duration(seconds=-5), Duration(seconds=2**40)])
def test_a_timeout_out_of_its_range_is_refused(span: Duration) -> None:
    with pytest.raises(FieldInvalid):
        checks.timeout_ms(span)
