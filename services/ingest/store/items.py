"""What the rooms of Ingest hand to each other: things that arrived, and what is known of who sent them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum


class Kind(IntEnum):
    """What an item asks for: the number of the field of `InboxItem.content`."""

    MAIL = 7
    MAILBOX_CHANGED = 8
    MAILBOX_WATCHED = 9
    RECONCILE = 10


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item that is not on disk yet.

    Args:
        item_id: UUIDv7, so that the order of ids is the order of arrival.
        tenant_id: Whose mailbox it is about.
        kind: What it asks for.
        content: A Graph notification as JSON, or the serialized message of the contract.
        received_at: When we took it.
        key: Digest of what makes it the same as another.
        other_key: A second such digest; either makes it a repeat.
        correlation_id: Of the call that brought it.
        traceparent: Of the call that brought it; may be empty.
    """

    item_id: str
    tenant_id: str
    kind: Kind
    content: bytes
    received_at: datetime
    key: str
    other_key: str | None = None
    correlation_id: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class NewLifecycle:
    """A lifecycle notification that is not on disk yet.

    Args:
        lifecycle_id: UUIDv7.
        subscription_id: Our id.
        tenant_id: Whose subscription it is.
        event: "reauthorizationRequired", "subscriptionRemoved" or "missed".
        received_at: When we took it.
        correlation_id: Of the call that brought it.
        traceparent: Of the call that brought it; may be empty.
    """

    lifecycle_id: str
    subscription_id: str
    tenant_id: str
    event: str
    received_at: datetime
    correlation_id: str
    traceparent: str = ""


@dataclass(slots=True)
class Arrivals:
    """What one POST brought that is worth keeping."""

    items: list[NewItem] = field(default_factory=list)
    lifecycle: list[NewLifecycle] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.items) + len(self.lifecycle)
