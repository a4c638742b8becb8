"""The content of an item about one mail: stored as Graph's JSON, returned as an event when the item is claimed.

The provider's JSON is stored as it arrived, so that nothing is converted while the provider waits for its answer.
"""

from typing import Any, Final

import orjson

from mailmesh.mail.v1.event_pb2 import NormalizedMailEvent

_EVENT_TYPES: Final = {"created": "mail.created", "updated": "mail.updated", "deleted": "mail.deleted"}


def pack(subscription_id: str, message_id: str, change_type: str, etag: str, notification: bytes) -> bytes:
    """Return the content of an item.

    Args:
        subscription_id: Our id of the subscription that brought the notification.
        message_id: Graph's id of the message.
        change_type: "created", "updated" or "deleted".
        etag: The version of the message; empty when Graph gave none.
        notification: The notification as JSON, without its secrets.
    """
    return orjson.dumps({
        "subscription_id": subscription_id,
        "message_id": message_id,
        "change_type": change_type,
        "etag": etag,
        "notification": orjson.Fragment(notification),
    })  # fmt: skip


def event_of(content: bytes) -> NormalizedMailEvent:
    """Return the event of an item's content.

    The event has no fields that the item has (the tenant, the time of receipt, the correlation id), no fields about the
    tenant, and no source: all items of this kind are notifications.

    Args:
        content: As `pack` returned it.
    """
    stored: dict[str, Any] = orjson.loads(content)
    event = NormalizedMailEvent(
        event_type=_EVENT_TYPES[stored["change_type"]],
        message_id=stored["message_id"],
        version=stored["etag"],
        subscription_ids=[stored["subscription_id"]],
    )
    event.raw.update(stored["notification"])
    return event
