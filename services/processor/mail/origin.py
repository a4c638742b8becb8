"""The origin of a stretch of history: what its events state about themselves."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2


@dataclass(frozen=True)
class Origin:
    """How a stretch of history came to be read: what its events will say of themselves.

    Args:
        source: NOTIFICATION or RECONCILIATION.
        received_at: When it was told.
        correlation_id: Of what told it.
    """

    source: int
    received_at: datetime
    correlation_id: str

    @classmethod
    def of(cls, item: item_pb2.InboxItem, source: int) -> "Origin":
        """As an item tells it."""
        return cls(source, item.received_at.ToDatetime(UTC), item.correlation_id)
