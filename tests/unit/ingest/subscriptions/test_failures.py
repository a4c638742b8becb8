"""The meaning of the providers' answers about subscriptions."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mailmesh.vault.v1.token_vault_service_pb2 import IssueTokenRequest, IssueTokenResponse
from services.ingest.errors import (
    InstallationMisconfigured,
    MailboxUnavailable,
    PermissionMissing,
    ProviderThrottled,
    ProviderUnavailable,
    SubscriptionRefused,
)
from services.ingest.subscriptions.failures import ConflictError, GoneError, TokenRejectedError, raise_for
from services.ingest.subscriptions.google import union
from services.ingest.subscriptions.microsoft import GraphSubscriptions, _time, resource_of
from services.ingest.subscriptions.provider_calls import ProviderCalls, TokenBorrower
from services.providers.names import MS365


def graph(status: int, code: str = "", message: str = "", **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": message}}, headers=headers)


def google(status: int, reason: str, message: str = "") -> httpx.Response:
    return httpx.Response(
        status, json={"error": {"code": status, "message": message, "errors": [{"domain": "x", "reason": reason}]}}
    )


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (graph(401, "InvalidAuthenticationToken"), TokenRejectedError),
        (graph(403, "ErrorAccessDenied"), PermissionMissing),
        (graph(403, "ErrorAccessDenied", "The mailbox has reached its limit of subscriptions."), SubscriptionRefused),
        (graph(400, "ValidationError", "Subscription validation request failed. Timeout."), ProviderUnavailable),
        (graph(400, "InvalidRequest", "Subscription validation request timed out."), ProviderUnavailable),
        (graph(404, "ErrorItemNotFound"), GoneError),
        (graph(404, "MailboxNotEnabledForRESTAPI"), MailboxUnavailable),
        (graph(403, "MailboxNotEnabledForRESTAPI"), MailboxUnavailable),
        (graph(409, "Conflict"), ConflictError),
        (graph(410, "ResourceNotFound"), GoneError),
        (graph(412, "ErrorIrresolvableConflict"), ProviderUnavailable),
        (graph(423, "ErrorItemLocked"), ProviderUnavailable),
        (graph(424, "FailedDependency"), ProviderUnavailable),
        (graph(509, "BandwidthLimitExceeded"), ProviderThrottled),
        (graph(403, "ApplicationThrottled"), ProviderThrottled),
        (graph(429, "ApplicationThrottled"), ProviderThrottled),
        (graph(503, "serviceNotAvailable"), ProviderUnavailable),
        (graph(400, "InvalidRequest"), SubscriptionRefused),
        (google(403, "rateLimitExceeded"), ProviderThrottled),
        (google(403, "userRateLimitExceeded"), ProviderThrottled),
        (google(403, "quotaExceeded"), ProviderThrottled),
        (google(400, "failedPrecondition"), MailboxUnavailable),
        (google(403, "insufficientPermissions"), PermissionMissing),
        (google(403, "accessNotConfigured"), InstallationMisconfigured),
        (google(400, "invalidArgument", "Invalid label: nothing"), SubscriptionRefused),
        (google(400, "invalidArgument", "Invalid topicName does not match projects/x"), InstallationMisconfigured),
        (google(403, "forbidden", "Error sending test message to Cloud PubSub topic"), InstallationMisconfigured),
        (httpx.Response(500, text="<html>"), ProviderUnavailable),
        (httpx.Response(403, text="<html>"), PermissionMissing),
        (httpx.Response(418, json=["strange"]), SubscriptionRefused),
        (httpx.Response(400, json={"error": "text"}), SubscriptionRefused),
    ],
)
def test_answers_are_named(response: httpx.Response, error: type[Exception]) -> None:
    provider = "googlews" if b"errors" in response.content or b"PubSub" in response.content else "ms365"

    with pytest.raises(error) as raised:
        raise_for(provider, response)

    assert error is raised.type


def test_what_is_refused_says_what_to_do() -> None:
    with pytest.raises(PermissionMissing) as raised:
        raise_for("ms365", graph(403, "ErrorAccessDenied"))

    assert "Mail.Read" in raised.value.message
    assert {"provider": "ms365", "detail": "ErrorAccessDenied"} == raised.value.metadata


async def test_a_subscription_that_is_locked_at_its_renewal_is_renewed_later() -> None:
    async def issue(request: IssueTokenRequest) -> IssueTokenResponse:
        return IssueTokenResponse(access_token="token")

    locked = httpx.MockTransport(lambda request: graph(423, "ErrorItemLocked", **{"retry-after": "7"}))
    async with httpx.AsyncClient(transport=locked) as http:
        calls = ProviderCalls(MS365, http, TokenBorrower(issue))
        subscriptions = GraphSubscriptions(calls, "https://graph.test/v1.0", "https://edge.test")
        with pytest.raises(ProviderUnavailable) as raised:
            await subscriptions.renew("tenant-1", "subscription-1", datetime(2026, 11, 27, tzinfo=UTC))

    assert ProviderUnavailable is raised.type
    assert timedelta(seconds=7) == raised.value.retry_after


def test_success_raises_nothing() -> None:
    raise_for("ms365", httpx.Response(201, json={}))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0.5", 0.5), ("99999", 3600), ("-1", 1), ("soon", 1), ("Wed, 01 Jan 3000 00:00:00 GMT", 3600)],
)
def test_retry_after_is_read_and_bounded(header: str, seconds: float) -> None:
    with pytest.raises(ProviderThrottled) as raised:
        raise_for("ms365", graph(429, **{"retry-after": header}))

    assert timedelta(seconds=seconds) == raised.value.retry_after


def test_union_of_labels_is_all_mail_as_soon_as_one_is() -> None:
    assert ["A", "B", "C"] == union([("B", "A"), ("C", "A")])
    assert [] == union([("A",), ()])


def test_resource_names_the_folder_with_quotes_doubled() -> None:
    assert "users/u-1/messages" == resource_of("u-1", "")
    assert "users/u-1/mailFolders('inbox')/messages" == resource_of("u-1", "inbox")
    assert "users/u-1/mailFolders('it''s')/messages" == resource_of("u-1", "it's")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-27T09:00:00.1234567Z", datetime(2026, 11, 27, 9, 0, 0, 123456, UTC)),
        ("2026-11-27T09:00:00.0000000+00:00", datetime(2026, 11, 27, 9, tzinfo=UTC)),
        ("2026-11-27T14:30:00+05:30", datetime(2026, 11, 27, 9, tzinfo=UTC)),
        ("2026-11-27T09:00:00Z", datetime(2026, 11, 27, 9, tzinfo=UTC)),
        ("2026-11-27T09:00:00.5", datetime(2026, 11, 27, 9, 0, 0, 500000, UTC)),
    ],
)
def test_times_are_read_with_any_fraction_and_offset(text: str, moment: datetime) -> None:
    assert moment == _time(text)
