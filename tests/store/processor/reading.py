"""Read all events of the store, by the reader of the service itself."""

from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.processor.stream.contents import EVENT_PARTS, open_part
from services.processor.stream.serialization import Identity, join


async def all_events(pool: db.Pool) -> list[event_pb2.Event]:
    """Read all events in the order of their positions."""
    rows = await pool.fetch(
        """
        SELECT position, kind, event_id, tenant_id, replay_id, original_event_id, basic, body, raw
        FROM processor.events ORDER BY position
        """
    )
    found = []
    for row in rows:
        identity = Identity(row["event_id"], row["replay_id"], row["original_event_id"], str(row["position"]))
        found.append(join(row["kind"], [open_part(row, name) for name in EVENT_PARTS], identity))
    return found
