"""An answer that says that an account has reached its limit of mails in a day differs from other throttling."""

from datetime import timedelta
from typing import Any

import pytest

from services.processor.mailbox.provider_http import failure
from services.providers.day_limits import DAY_LIMIT_WAIT, day_limit
from services.providers.names import GOOGLEWS, MS365

GMAIL = {"error": {"code": 429, "message": "User-rate limit exceeded.  (Mail sending)", "errors": []}}


@pytest.mark.parametrize(
    ("provider", "words", "body", "is_limit"),
    [
        (GOOGLEWS, ["rateLimitExceeded"], GMAIL, True),
        (GOOGLEWS, ["rateLimitExceeded"], {"error": {"message": "User-rate limit exceeded."}}, False),
        (GOOGLEWS, ["rateLimitExceeded"], {"error": {"message": 7}}, False),
        (GOOGLEWS, [], {"error": "x"}, False),
        (GOOGLEWS, [], None, False),
        (MS365, ["ErrorSubmissionQuotaExceeded"], None, True),
        (MS365, ["ApplicationThrottled"], GMAIL, False),
        ("another", ["ErrorSubmissionQuotaExceeded"], GMAIL, False),
    ],
)
def test_a_limit_of_the_day_is_named_and_other_throttling_is_not(
    provider: str, words: list[str], body: dict[str, Any] | None, is_limit: bool
) -> None:
    assert is_limit == bool(day_limit(provider, words, body))


@pytest.mark.parametrize(("headers", "wait"), [({}, DAY_LIMIT_WAIT), ({"retry-after": "1800"}, timedelta(minutes=30))])
def test_the_failure_has_the_limit_and_the_providers_time_or_ours(headers: dict[str, str], wait: timedelta) -> None:
    found = failure(GOOGLEWS, 429, headers, GMAIL)

    assert ("PROVIDER_THROTTLED", wait) == (found.reason, found.retry_after)
    assert "within 24 hours" in found.detail


def test_a_mark_in_an_answer_that_does_not_throttle_names_no_limit() -> None:
    assert "24 hours" not in failure(GOOGLEWS, 500, {}, GMAIL).detail
