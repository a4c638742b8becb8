"""Parses the pushes of Google's channels: no content, only headers (Google Calendar API, "Push notifications")."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.ingest.webhooks.untrusted_json import UnreadableError
from services.meshkit.ids import is_id

CHANNEL_HEADER: Final = "x-goog-channel-id"
TOKEN_HEADER: Final = "x-goog-channel-token"  # noqa: S105 - the name of a header
STATE_HEADER: Final = "x-goog-resource-state"
RESOURCE_HEADER: Final = "x-goog-resource-id"
NUMBER_HEADER: Final = "x-goog-message-number"
HEADERS: Final = (CHANNEL_HEADER, TOKEN_HEADER, STATE_HEADER, RESOURCE_HEADER, NUMBER_HEADER)
SYNC: Final = "sync"
"""The state of the first push, which reports the channel and no change."""
_STATES: Final = frozenset({SYNC, "exists", "not_exists"})
_MAX_TOKEN: Final = 256
_MAX_RESOURCE_ID: Final = 1024
_MAX_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class ChannelPush:
    """A push of a channel.

    Args:
        channel_id: The id of the channel, ours if it is genuine.
        token_digest: SHA-256 of the secret that the push carries.
        state: "sync", "exists" or "not_exists".
        resource_id: Google's id of the watched resource; may be empty.
        number: The message's number within the channel, as text. Numbers rise, with gaps; a repeat has the same.
    """

    channel_id: str
    token_digest: bytes
    state: str
    resource_id: str
    number: str


def parse_channel_push(headers: Mapping[str, str]) -> ChannelPush:
    """Parse a push.

    Args:
        headers: The untrusted headers that occur exactly once, by lower-case name.

    Raises:
        UnreadableError: It is not one of ours: its channel has no id of ours, or its secret or another part is missing.
    """
    channel_id, token = headers.get(CHANNEL_HEADER, ""), headers.get(TOKEN_HEADER, "")
    # Ids of our channels are UUIDs in lower case: other pushes cost no look-up.
    if not is_id(channel_id) or channel_id != channel_id.lower():
        raise UnreadableError("no_channel_id")
    if not 0 < len(token) <= _MAX_TOKEN:
        raise UnreadableError("no_channel_token")
    state, number = headers.get(STATE_HEADER, ""), headers.get(NUMBER_HEADER, "")
    if state not in _STATES:
        raise UnreadableError("no_resource_state")
    if not (number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS):
        raise UnreadableError("no_message_number")
    resource_id = headers.get(RESOURCE_HEADER, "")
    is_usable = len(resource_id) <= _MAX_RESOURCE_ID and resource_id.isascii() and resource_id.isprintable()
    digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
    return ChannelPush(channel_id, digest, state, resource_id if is_usable else "", number)
