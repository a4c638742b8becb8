"""The meaning of the providers' errors, and how their words are read."""

import pytest

from services.providers.failures import NO_ANSWER, TABLES, Meaning, error_words, meaning_of
from services.providers.names import GOOGLEWS, MS365


@pytest.mark.parametrize(
    ("provider", "status", "words", "meaning"),
    [
        (MS365, 401, ["InvalidAuthenticationToken"], Meaning.TOKEN_REJECTED),
        (MS365, 403, ["ErrorAccessDenied"], Meaning.FORBIDDEN),
        (MS365, 403, ["ApplicationThrottled"], Meaning.THROTTLED),
        (MS365, 404, ["ErrorItemNotFound"], Meaning.NOT_FOUND),
        (MS365, 404, ["MailboxNotEnabledForRESTAPI"], Meaning.MAILBOX_UNAVAILABLE),
        (MS365, 403, ["BadRequest", "MailboxNotSupportedForRESTAPI"], Meaning.MAILBOX_UNAVAILABLE),
        (MS365, 410, [], Meaning.CURSOR_LOST),
        (MS365, 404, ["resyncRequired"], Meaning.CURSOR_LOST),
        (MS365, 409, ["Conflict"], Meaning.CONFLICT),
        (MS365, 412, [], Meaning.PASSING),
        (MS365, 423, ["ErrorItemLocked"], Meaning.PASSING),
        (MS365, 509, [], Meaning.THROTTLED),
        (MS365, NO_ANSWER, ["ConnectError"], Meaning.PASSING),
        (MS365, 400, ["failedPrecondition"], Meaning.FINAL),
        (GOOGLEWS, 400, ["failedPrecondition"], Meaning.MAILBOX_UNAVAILABLE),
        (GOOGLEWS, 403, ["quotaExceeded"], Meaning.THROTTLED),
        (GOOGLEWS, 403, ["domainPolicy", "PERMISSION_DENIED"], Meaning.FORBIDDEN),
        (GOOGLEWS, 403, ["accessNotConfigured", "PERMISSION_DENIED"], Meaning.APP),
        (GOOGLEWS, 403, ["forbidden", "PERMISSION_DENIED", "SERVICE_DISABLED"], Meaning.APP),
        (GOOGLEWS, 403, ["PERMISSION_DENIED", "CONSUMER_SUSPENDED"], Meaning.APP),
        (GOOGLEWS, 403, ["PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"], Meaning.FORBIDDEN),
        (GOOGLEWS, 500, ["SERVICE_DISABLED"], Meaning.PASSING),
        (GOOGLEWS, 400, ["syncStateNotFound"], Meaning.FINAL),
        ("another", 401, [], Meaning.TOKEN_REJECTED),
        ("another", 503, [], Meaning.PASSING),
    ],
)
def test_an_answer_has_the_meaning_of_its_providers_table(
    provider: str, status: int, words: list[str], meaning: Meaning
) -> None:
    assert meaning is meaning_of(provider, status, words)


@pytest.mark.parametrize("provider", TABLES)
def test_every_status_has_a_meaning(provider: str) -> None:
    assert all(isinstance(meaning_of(provider, status, []), Meaning) for status in range(600))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"code": "A", "innerError": {"code": "B", "innererror": {"code": "C"}}}}, ["A", "B", "C"]),
        (
            {"error": {"code": 403, "status": "PERMISSION_DENIED", "errors": [{"reason": "domainPolicy"}]}},
            ["domainPolicy", "PERMISSION_DENIED"],
        ),
        (
            {"error": {"status": "PERMISSION_DENIED", "details": [{"@type": "x"}, {"reason": "SERVICE_DISABLED"}, 7]}},
            ["PERMISSION_DENIED", "SERVICE_DISABLED"],
        ),
        ({"error": "invalid_grant"}, []),
        ({"error": {"errors": "text", "code": 7}}, []),
        ({"error": {"errors": [{"domain": "x"}, "text"]}}, []),
        ({"error": {"code": "x" * 500}}, ["x" * 100]),
        ({}, []),
        (None, []),
    ],
)
def test_the_words_of_both_providers_are_read(body: dict[str, object] | None, expected: list[str]) -> None:
    assert expected == error_words(body)
