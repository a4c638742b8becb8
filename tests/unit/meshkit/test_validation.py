"""Values that no calendar and no column can hold are refused at the door."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.ingest.v1 import subscription_service_pb2
from mailmesh.processor.v1 import processor_service_pb2, send_service_pb2
from mailmesh.vault.v1 import audit_service_pb2
from services.meshkit.errors import FieldInvalid
from services.meshkit.interceptors.validation import MAX_VALUES, check, faults

FIRST, LAST = -62_135_596_800, 253_402_300_799


@pytest.mark.parametrize(("seconds", "nanos", "is_time"), [
    (0, 0, True), (FIRST, 0, True), (LAST, 999_999_999, True), (FIRST - 1, 0, False), (LAST + 1, 0, False),
    (2**63 - 1, 0, False), (-(2**63), 0, False), (0, -1, False), (0, 10**9, False),
])  # fmt: skip
def test_a_timestamp_is_a_time(seconds: int, nanos: int, is_time: bool) -> None:
    request = audit_service_pb2.ListAuditEntriesRequest(occurred_from=Timestamp(seconds=seconds, nanos=nanos))

    assert ([] if is_time else ["occurred_from"]) == [path for path, _ in faults(request)]


def test_a_time_that_is_not_said_is_no_fault() -> None:
    assert [] == list(faults(processor_service_pb2.ReplayEventsRequest()))


def test_a_text_with_a_nul_is_named_wherever_it_stands() -> None:
    request = subscription_service_pb2.BatchCreateSubscriptionsRequest(
        requests=[
            subscription_service_pb2.CreateSubscriptionRequest(tenant_id="fine", label_ids=["INBOX", ""]),
            subscription_service_pb2.CreateSubscriptionRequest(tenant_id="a\0b", label_ids=["INBOX", "\0"]),
        ]
    )

    expected = {f"requests[1].{name}": "must not hold the character U+0000" for name in ("tenant_id", "label_ids")}
    assert expected == dict(faults(request))


def test_a_request_has_a_bounded_number_of_values_in_its_lists() -> None:
    check(send_service_pb2.ListSendsRequest(states=[1] * MAX_VALUES))
    with pytest.raises(FieldInvalid) as refused:
        check(send_service_pb2.ListSendsRequest(states=[1] * (MAX_VALUES + 1)))

    assert ["states"] == list(refused.value.violations)


def test_the_lists_within_a_list_count_together() -> None:
    wanted = subscription_service_pb2.CreateSubscriptionRequest(tenant_id="t", label_ids=["a"] * 20)
    with pytest.raises(FieldInvalid) as refused:
        check(subscription_service_pb2.BatchCreateSubscriptionsRequest(requests=[wanted] * 500))

    assert ["requests[475].label_ids"] == list(refused.value.violations)


def test_a_list_of_a_million_messages_is_refused_before_one_is_visited() -> None:
    wanted = subscription_service_pb2.CreateSubscriptionRequest()
    request = subscription_service_pb2.BatchCreateSubscriptionsRequest(requests=[wanted] * 300_000)
    with pytest.raises(FieldInvalid) as refused:
        check(request)

    assert ["requests"] == list(refused.value.violations)
