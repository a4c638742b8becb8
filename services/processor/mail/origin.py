"""The origin of a stretch of history: what its events state about themselves."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2


@dataclass(frozen=True)
class Origin:
    """The reason why a stretch of history was read: its events carry these values.

    Args:
        source: NOTIFICATION or RECONCILIATION.
        received_at: When the reason arrived.
        correlation_id: The correlation id of the reason.
    """

    source: int
    received_at: datetime
    correlation_id: str

    @classmethod
    def of(cls, item: item_pb2.InboxItem, source: int) -> "Origin":
        """Return the origin that an item gives."""
        return cls(source, item.received_at.ToDatetime(UTC), item.correlation_id)
