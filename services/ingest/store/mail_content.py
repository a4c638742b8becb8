"""A Graph notification as an item keeps it, and as the event that it becomes when it is given out.

It is kept as the provider's JSON rather than as an event: that is what arrives, so nothing is converted while the
provider waits for its answer.
"""

from datetime import datetime
from typing import Any, Final

import orjson

from mailmesh.mail.v1.event_pb2 import EventSource, NormalizedMailEvent
from services.ingest.webhooks.microsoft import GraphChange

_EVENT_TYPES: Final = {"created": "mail.created", "updated": "mail.updated", "deleted": "mail.deleted"}


def pack(change: GraphChange, subscription_id: str) -> bytes:
    """Writes the content of an item.

    Args:
        change: What Graph told.
        subscription_id: Our id of the subscription that it came by.
    """
    return orjson.dumps({
        "subscription_id": subscription_id,
        "message_id": change.message_id,
        "change_type": change.change_type,
        "etag": change.etag,
        "notification": orjson.Fragment(change.content),
    })  # fmt: skip


def event_of(content: bytes, received_at: datetime) -> NormalizedMailEvent:
    """Reads the content of an item as an event that does not know its tenant yet.

    Args:
        content: As `pack` wrote it.
        received_at: When we took it.
    """
    kept: dict[str, Any] = orjson.loads(content)
    event = NormalizedMailEvent(
        event_type=_EVENT_TYPES[kept["change_type"]],
        message_id=kept["message_id"],
        version=kept["etag"],
        subscription_ids=[kept["subscription_id"]],
        source=EventSource.EVENT_SOURCE_NOTIFICATION,
    )
    event.received_at.FromDatetime(received_at)
    event.raw.update(kept["notification"])
    return event
