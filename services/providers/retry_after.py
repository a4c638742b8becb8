"""The wait that a provider asks for: the header Retry-After in both forms, and Google's two forms in the body.

Sources: RFC 9110, section 10.2.3 (seconds, or a date); Gmail's sentence "Retry after 2026-11-27T12:00:00.000Z" in
`error.message` and in `error.errors[].message`; `google.rpc.RetryInfo` in `error.details[]`.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

MAX_RETRY_AFTER = timedelta(hours=1)
"""The longest wait that is returned: a provider that asks for more is asked again after an hour."""

_SENTENCE_CHARACTERS = 1000
_ITEMS = 20
_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,12})?", re.ASCII)
_DELAY = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)s", re.ASCII)
_SENTENCE = re.compile(
    r"retry\s+after:?\s+(?:(?P<date>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
    r"|(?P<seconds>\d{1,12}(?:\.\d{1,12})?)\s*s(?:ec|econds?)?\b)",
    re.ASCII | re.IGNORECASE,
)


def retry_after(
    headers: Mapping[str, str], body: Mapping[str, Any] | None = None, now: datetime | None = None
) -> timedelta | None:
    """Read how long a provider asks to wait. The header takes precedence over the body.

    Args:
        headers: The answer's headers, with names in any case.
        body: The answer's JSON object, unchecked. None for an answer that is no JSON object.
        now: The present time, in UTC; by default the clock's.

    Returns:
        From zero, for a time in the past, to an hour. None when the answer names no time that can be read.
    """
    present = now or datetime.now(UTC)
    header = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    wait = _of_header(header, present)
    if wait is None and body is not None:
        wait = next((found for found in _of_body(body, present) if found is not None), None)
    return None if wait is None else max(timedelta(), min(wait, MAX_RETRY_AFTER))


def _of_header(text: str, now: datetime) -> timedelta | None:
    if text.isdecimal() and text.isascii():
        # Any number of digits is allowed; one with more than twelve is longer than the bound in any case.
        return timedelta(seconds=float(text[:12]))
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=float(text))
    try:
        return _aware(parsedate_to_datetime(text)) - now
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def _of_body(body: Mapping[str, Any], now: datetime) -> Iterable[timedelta | None]:
    error = body.get("error")
    if not isinstance(error, Mapping):
        return
    for detail in _objects(error.get("details")):
        delay = detail.get("retryDelay")
        found = _DELAY.fullmatch(delay) if isinstance(delay, str) else None
        yield timedelta(seconds=float(found[1])) if found else None
    for item in (error, *_objects(error.get("errors"))):
        message = item.get("message")
        yield _of_sentence(message[:_SENTENCE_CHARACTERS], now) if isinstance(message, str) else None


def _of_sentence(text: str, now: datetime) -> timedelta | None:
    found = _SENTENCE.search(text)
    if found is None:
        return None
    if found["seconds"]:
        return timedelta(seconds=float(found["seconds"]))
    try:
        return _aware(datetime.fromisoformat(found["date"])) - now
    except (ValueError, OverflowError):
        return None


def _objects(found: Any) -> list[Mapping[str, Any]]:
    return [item for item in found[:_ITEMS] if isinstance(item, Mapping)] if isinstance(found, list) else []


def _aware(time: datetime) -> datetime:
    """Return a time with a zone: one without it is meant as UTC."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)
