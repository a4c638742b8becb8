"""The next step of a subscription, and its time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mailmesh.ingest.v1 import subscription_service_pb2 as pb
from mailmesh.vault.v1 import tenant_pb2
from services.ingest.store.subscription_rows import SubscriptionRow
from services.ingest.subscriptions.next_step import Step, next_step
from services.ingest.subscriptions.schedule import renewal_time, retry_time

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
LIVE = NOW + timedelta(days=3)
ROW = SubscriptionRow(
    subscription_id="019a0000-0000-7000-8000-000000000001",
    tenant_id="019a0000-0000-7000-8000-000000000002",
    provider="ms365",
    state=pb.SUBSCRIPTION_STATE_ACTIVE,
    folder_id="inbox",
    label_ids=(),
    change_types=("created",),
    delivery_mode=pb.DELIVERY_MODE_PUSH,
    provider_subscription_id="p",
    expires_at=LIVE,
    renew_at=NOW,
    last_notification_at=None,
    last_renewed_at=NOW,
    failure_reason="",
    failure_detail="",
    failures=0,
    reconcile_reason=None,
    lease_fence=1,
    covered_from=NOW,
    created_at=NOW,
    updated_at=NOW,
)


@pytest.mark.parametrize(
    ("status", "live", "gone"),
    [
        (tenant_pb2.TENANT_STATUS_ACTIVE, Step.RENEW, Step.MAKE),
        (tenant_pb2.TENANT_STATUS_TOKEN_EXPIRED, Step.RENEW, Step.MAKE),
        (tenant_pb2.TENANT_STATUS_NEEDS_REAUTHORIZATION, Step.RENEW, Step.MAKE),
        (tenant_pb2.TENANT_STATUS_ERROR, Step.RENEW, Step.MAKE),
        (tenant_pb2.TENANT_STATUS_DISABLED, Step.LET_LAPSE, Step.LET_LAPSE),
        (tenant_pb2.TENANT_STATUS_DISCONNECTING, Step.RELEASE, Step.RELEASE),
        (tenant_pb2.TENANT_STATUS_DISCONNECTED, Step.SUSPEND, Step.SUSPEND),
        (0, Step.RENEW, Step.MAKE),
    ],
)
def test_tenants_state_decides_the_step(status: int, live: Step, gone: Step) -> None:
    assert live == next_step(ROW, status, NOW)
    assert gone == next_step(replace(ROW, expires_at=None), status, NOW)
    assert gone == next_step(replace(ROW, expires_at=NOW - timedelta(seconds=1)), status, NOW)


def test_deleting_goes_before_the_tenants_state() -> None:
    row = replace(ROW, state=pb.SUBSCRIPTION_STATE_DELETING)

    for status in (tenant_pb2.TENANT_STATUS_ACTIVE, tenant_pb2.TENANT_STATUS_DISABLED):
        assert Step.DELETE == next_step(row, status, NOW)


def test_what_the_provider_ended_or_cannot_be_asked_about_is_deleted_without_it() -> None:
    row = replace(ROW, state=pb.SUBSCRIPTION_STATE_DELETING)

    assert Step.FORGET == next_step(row, tenant_pb2.TENANT_STATUS_DISCONNECTED, NOW)
    assert Step.FORGET == next_step(replace(row, expires_at=NOW), tenant_pb2.TENANT_STATUS_DISABLED, NOW)
    # Nothing is known to be there, and a call whose answer was lost may have made it.
    assert Step.DELETE == next_step(replace(row, expires_at=None), tenant_pb2.TENANT_STATUS_ACTIVE, NOW)


def test_deleted_is_left_alone_and_polled_asks_for_nothing() -> None:
    assert Step.FORGET == next_step(replace(ROW, state=pb.SUBSCRIPTION_STATE_DELETED), 1, NOW)
    assert Step.POLL == next_step(replace(ROW, delivery_mode=pb.DELIVERY_MODE_POLL), 1, NOW)


def test_renewal_is_at_about_half_of_the_life_and_daily_at_google() -> None:
    for _ in range(50):
        assert timedelta(days=2.7) <= renewal_time("ms365", NOW, NOW + timedelta(days=6)) - NOW <= timedelta(days=3.3)
        assert (
            timedelta(hours=21.6)
            <= renewal_time("googlews", NOW, NOW + timedelta(days=7)) - NOW
            <= timedelta(hours=26.4)
        )


def test_renewal_of_a_short_life_is_not_at_once_again() -> None:
    assert NOW + timedelta(seconds=30) == renewal_time("ms365", NOW, NOW + timedelta(seconds=1))


def test_retries_grow_to_an_hour_and_wait_for_the_providers_word() -> None:
    spans = [retry_time(NOW, failures, None, is_waiting_for_person=False) - NOW for failures in (1, 3, 30)]

    assert timedelta(seconds=13) < spans[0] < timedelta(seconds=17)
    assert timedelta(seconds=53) < spans[1] < timedelta(seconds=67)
    assert timedelta(minutes=53) < spans[2] < timedelta(minutes=67)
    assert timedelta(minutes=5) == retry_time(NOW, 1, timedelta(minutes=5), is_waiting_for_person=False) - NOW
    assert timedelta(minutes=53) < retry_time(NOW, 1, None, is_waiting_for_person=True) - NOW
