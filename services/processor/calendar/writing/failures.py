"""The meaning of a provider's answer for a write: whether the change was surely not made, or is in doubt."""

from services.processor.calendar.write_rows import Kind, WriteRow
from services.processor.mailbox.failures import Remedy, SourceError
from services.providers.failures import Meaning

_NOT_CONNECTED = frozenset({
    "ClientConnectorError", "ClientConnectorDNSError", "ClientConnectorSSLError", "ClientConnectorCertificateError",
    "ClientProxyConnectionError", "ConnectionTimeoutError",
})  # fmt: skip
"""Names of aiohttp's errors from before a connection was there."""
_BEFORE_PROCESSING = frozenset({401, 429})
_FORBIDDEN = 403
_OUTDATED = 412
_CLIENT_ERRORS = (400, 500)
_REFUSALS = frozenset({Meaning.FORBIDDEN, Meaning.FINAL, Meaning.MAILBOX_UNAVAILABLE, Meaning.NOT_FOUND})


def is_unprocessed(error: SourceError) -> bool:
    """Return whether a request was surely not processed, so that it may be repeated whatever it does.

    5xx, a timeout and a lost connection say nothing: the change may have been made.
    """
    # TokenVault lent no token, so that the provider was not asked; or the provider turns the installation's app away.
    if error.meaning in (None, Meaning.APP):
        return True
    is_quota = error.status == _FORBIDDEN and error.meaning is Meaning.THROTTLED
    return is_quota or error.status in _BEFORE_PROCESSING or error.code in _NOT_CONNECTED


def is_outdated(error: SourceError) -> bool:
    """Return whether the provider refused a request because the event has another version than the request names."""
    return error.status == _OUTDATED


def is_blocked(error: SourceError) -> bool:
    """Return whether a person must act before the account can write: no token is lent, or the app is turned away."""
    return error.remedy is Remedy.PERSON and error.meaning in (None, Meaning.APP)


def is_refused(error: SourceError) -> bool:
    """Return whether the provider refused a request for good."""
    is_clear = _CLIENT_ERRORS[0] <= error.status < _CLIENT_ERRORS[1] and error.code != "answer_too_large"
    return is_clear and error.meaning in _REFUSALS


def may_have_cancelled(row: WriteRow, error: SourceError) -> bool:
    """Return whether a cancellation that the provider refused because the event is gone may itself have removed it.

    The event was there just before the submission. An HTTP client repeats a DELETE whose connection ends without an
    answer (RFC 9110, 9.2.2), as a proxy may: the repetition finds no event where the first one took effect.
    """
    return row.kind is Kind.CANCEL and error.remedy is Remedy.MISSING
