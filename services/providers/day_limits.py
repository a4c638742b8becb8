"""The providers' limits of mails in a day: how an answer says that an account has reached its own.

Both limits move: they count the last 24 hours, so that they pass by themselves, after hours. Sources: Gmail's answer to
a send, whose message ends with "(Mail sending)" where the limit of mails is meant and not that of requests, as in
"User-rate limit exceeded.  Retry after 2026-11-27T12:00:30Z (Mail sending)"; Exchange's `ErrorSubmissionQuotaExceeded`
(Microsoft's article 4486353).
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from services.providers.names import GOOGLEWS, MS365

DAY_LIMIT_WAIT = timedelta(minutes=15)
"""The wait after an answer that names a limit and no time."""

GRAPH_DAY_LIMIT = frozenset({"errorsubmissionquotaexceeded"})
"""Exchange's words for it, in lower case."""
_GMAIL_MARK = "(mail sending)"
_MESSAGE_CHARACTERS = 1000
_SENTENCES = {
    MS365: "the account has reached the number of recipients to whom Microsoft lets it send within 24 hours",
    GOOGLEWS: "the account has reached the number of mails that Google lets it send within 24 hours",
}


def day_limit(provider: str, words: Collection[str], body: Mapping[str, Any] | None) -> str:
    """Return a sentence that names the limit of mails in a day that an answer speaks of; empty for another answer.

    Args:
        provider: A name from `names`.
        words: The provider's machine words, in any case.
        body: The answer's JSON object, unchecked. None for an answer that is no JSON object.
    """
    is_named = bool(GRAPH_DAY_LIMIT & {word.lower() for word in words}) if provider == MS365 else _has_mark(body)
    return _SENTENCES.get(provider, "") if is_named else ""


def _has_mark(body: Mapping[str, Any] | None) -> bool:
    error = body.get("error") if body else None
    message = error.get("message") if isinstance(error, Mapping) else None
    return isinstance(message, str) and _GMAIL_MARK in message[:_MESSAGE_CHARACTERS].lower()
