"""Signatures of webhooks as Standard Webhooks has them: `v1` (HMAC-SHA256) and `v1a` (Ed25519).

Source: standard-webhooks/standard-webhooks, spec/standard-webhooks.md. The signature covers the id, the time of the
attempt and the body's bytes as sent, separated by full stops. The vectors in clients/conformance/webhooks.json hold the
same cases for receivers in other languages.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from services.delivery.signing_keys import SigningKey, VerifyingKey

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

TOLERANCE: Final = timedelta(minutes=5)
"""The largest difference between a signature's time and the receiver's clock, in both directions."""
MOST_KEYS: Final = 4
"""The largest number of keys that sign one webhook: two of each version while they rotate."""

# A full stop in the id would let the same signed bytes be read as another id, time and body.
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_TIMESTAMP = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_MOST_HEADER_CHARACTERS = 4096


class Refusal(Enum):
    """The reason why a webhook is not accepted."""

    HEADER_MISSING = "header_missing"
    """One of the three headers is absent or empty."""
    HEADER_INVALID = "header_invalid"
    """The id or the timestamp has a form that no sender writes, or the header of signatures is too long."""
    TOO_OLD = "too_old"
    """The signature's time lies further in the past than the tolerance: a replay, or a clock that is wrong."""
    TOO_NEW = "too_new"
    """The signature's time lies further in the future than the tolerance: a clock that is wrong."""
    SIGNATURE_WRONG = "signature_wrong"
    """No signature belongs to one of the keys."""


class WebhookRefused(Exception):  # noqa: N818 - named like the mesh's other refusals
    """A webhook is not accepted.

    Args:
        refusal: The reason.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


def sign(keys: Sequence[SigningKey], webhook_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
    """Sign one attempt.

    Args:
        keys: One to four keys; while keys rotate, the new and the old one. Each adds one signature.
        webhook_id: The event's id, the same on every attempt: letters, digits, `_` and `-`.
        sent_at: The time of this attempt, aware. A repeated attempt needs a new signature.
        body: The bytes that are sent.

    Returns:
        The three headers.

    Raises:
        ValueError: An argument is outside of its range.

    Safe to call again: yes; the same arguments give the same headers.
    """
    if not 1 <= len(keys) <= MOST_KEYS:
        raise ValueError(f"one to {MOST_KEYS} keys sign a webhook")
    if not _ID.fullmatch(webhook_id):
        raise ValueError("a webhook's id has 1 to 128 letters, digits, _ and -")
    if sent_at.tzinfo is None:
        raise ValueError("the time of an attempt is aware")
    timestamp = str(int(sent_at.timestamp()))
    content = _content(webhook_id, timestamp, body)
    signatures = (f"{key.version},{base64.b64encode(key.sign(content)).decode('ascii')}" for key in keys)
    return {ID_HEADER: webhook_id, TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: " ".join(signatures)}


def verify(
    keys: Sequence[VerifyingKey],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> str:
    """Verify one webhook as a receiver does. It does not detect replays within the tolerance: keep the ids.

    Args:
        keys: The keys that the receiver trusts; while keys rotate, the new and the old one.
        headers: The request's headers, with names in any case.
        body: The bytes that were received, before any parsing.
        now: The receiver's time, aware.
        tolerance: The largest difference between the two clocks.

    Returns:
        The webhook's id, by which the receiver recognizes repetitions.

    Raises:
        WebhookRefused: The webhook is not from the holder of the keys, or not of this time.
    """
    webhook_id, timestamp, signatures = _read(headers)
    _check_time(int(timestamp), now, tolerance)
    content = _content(webhook_id, timestamp, body)
    for version, signature in _entries(signatures):
        if any(key.version == version and key.verifies(content, signature) for key in keys):
            return webhook_id
    raise WebhookRefused(Refusal.SIGNATURE_WRONG)


def _content(webhook_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{webhook_id}.{timestamp}.".encode("ascii") + body


def _read(headers: Mapping[str, str]) -> tuple[str, str, str]:
    lowered = {name.lower(): value for name, value in headers.items()}
    webhook_id, timestamp, signatures = (
        lowered.get(name, "") for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
    )
    if not (webhook_id and timestamp and signatures):
        raise WebhookRefused(Refusal.HEADER_MISSING)
    if (
        not _ID.fullmatch(webhook_id)
        or not _TIMESTAMP.fullmatch(timestamp)
        or len(signatures) > _MOST_HEADER_CHARACTERS
    ):
        raise WebhookRefused(Refusal.HEADER_INVALID)
    return webhook_id, timestamp, signatures


def _check_time(timestamp: int, now: datetime, tolerance: timedelta) -> None:
    age = now - datetime.fromtimestamp(0, UTC) - timedelta(seconds=timestamp)
    if age > tolerance:
        raise WebhookRefused(Refusal.TOO_OLD)
    if -age > tolerance:
        raise WebhookRefused(Refusal.TOO_NEW)


def _entries(header: str) -> Iterator[tuple[str, bytes]]:
    """Yield the version and the bytes of each well-formed signature; other entries are skipped, as unknown ones are."""
    for entry in header.split(" "):
        version, comma, encoded = entry.partition(",")
        if not comma:
            continue
        try:
            yield version, base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
