"""Parses Gmail's pushes from Pub/Sub, wrapped or unwrapped, and checks that Google sent them."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from services.ingest.webhooks.untrusted_json import UnreadableError, parse_object

MESSAGE_ID_HEADER: Final = "x-goog-pubsub-message-id"
CLAIMS_HEADER: Final = "x-mailmesh-push-claims"
_MAX_HISTORY_ID: Final = 2**64 - 1
_MAX_ADDRESS: Final = 320
_MAX_MESSAGE_ID: Final = 256
_MAX_DIGITS: Final = 20
_MAX_DATA: Final = 16 * 1024
"""Characters of a message's data. Gmail's messages have 100 bytes."""


@dataclass(frozen=True, slots=True)
class GmailPush:
    """A change of a mailbox.

    Args:
        address: The mailbox's address, in lower case.
        history_id: The mailbox's history id after the change.
        message_id: Pub/Sub's id of the push; empty when it gave none.
    """

    address: str
    history_id: int
    message_id: str


def parse_push(body: bytes, header_message_id: str = "") -> GmailPush:
    """Parse a push.

    Args:
        body: Untrusted bytes.
        header_message_id: Pub/Sub's id from the header, for unwrapped pushes.

    Raises:
        UnreadableError: The push cannot be parsed.
    """
    document = parse_object(body)
    message = document.get("message")
    if isinstance(message, dict):
        return parse_message(message)
    return GmailPush(_address(document), _history_id(document), _message_id(header_message_id))


def parse_message(message: Mapping[str, Any]) -> GmailPush:
    """Parse a `PubsubMessage`, as a wrapped push and the answer to a pull have it.

    Args:
        message: Untrusted JSON object.

    Raises:
        UnreadableError: The message is not one of Gmail's.
    """
    data = _unwrap(message.get("data"))
    return GmailPush(
        _address(data), _history_id(data), _message_id(message.get("messageId") or message.get("message_id"))
    )


def is_signed_by(claims_header: str, service_account: str) -> bool:
    """Return whether the edge has verified a token of the service account with this push.

    The edge checks signature, issuer, audience and expiry; the token's subject is checked here.

    Args:
        claims_header: The verified claims, base64url of JSON, as only the edge can set them.
        service_account: The expected e-mail address. Empty: no token is accepted.
    """
    if not claims_header or not service_account:
        return False
    try:
        claims = orjson.loads(_decoded(claims_header))
    except (ValueError, binascii.Error):
        return False
    if not isinstance(claims, dict):
        return False
    return claims.get("email") == service_account and claims.get("email_verified") is True


def _unwrap(data: Any) -> dict[str, Any]:
    if not isinstance(data, str):
        raise UnreadableError("no_data")
    if len(data) > _MAX_DATA:
        raise UnreadableError("too_long")
    try:
        return parse_object(_decoded(data))
    except (ValueError, binascii.Error) as exc:
        raise UnreadableError("not_base64") from exc


def _decoded(text: str) -> bytes:
    """Decode base64 in either alphabet, with or without padding."""
    plain = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _address(data: dict[str, Any]) -> str:
    address = data.get("emailAddress")
    if not isinstance(address, str) or not 0 < len(address) <= _MAX_ADDRESS or not address.isprintable():
        raise UnreadableError("no_address")
    return address.strip().lower()


def _history_id(data: dict[str, Any]) -> int:
    """Parse the history id. Google writes 64-bit numbers as strings in one place and as numbers in another."""
    value = data.get("historyId")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MAX_HISTORY_ID:
        raise UnreadableError("no_history_id")
    return value


def _message_id(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= _MAX_MESSAGE_ID and value.isprintable() else ""
