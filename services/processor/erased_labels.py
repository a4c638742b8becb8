"""Labels of mails (`mail.classified`) whose events an erasure of a person removes: they go with them.

A label says something about the person's mail, and names no address by which the erasure would find it.
"""

import asyncpg

from mailmesh.mail.v1 import event_pb2
from services.meshkit import db
from services.meshkit.persons import Person
from services.processor.stream.contents import open_part
from services.processor.stream.errors import SealBroken
from services.processor.stream.publish import MAIL_CLASSIFIED, EventDraft
from services.processor.stream.serialization import KIND_ERASED, KIND_MAIL, plain
from services.processor.stream.store.tombstones import BURIED

REPLAYED = f"tenant_id = $1 AND event_type = '{MAIL_CLASSIFIED}' AND original_event_id IS NOT NULL"
"""The condition of labels that were replayed."""
IS_ORIGINAL_ERASED = f"""EXISTS (
    SELECT FROM processor.events o WHERE o.event_id = events.original_event_id AND o.kind = {KIND_ERASED}
) AS is_original_erased"""
# The classifier commits labels under this lock, and only those of events that are still there.
_HOLD = "SELECT FROM processor.classification_settings WHERE tenant_id = $1 FOR UPDATE"
_SETS = ", ".join(f"{name} = ${place}" for place, name in enumerate(BURIED, 3))
_BURY = f"""
    UPDATE processor.events SET {_SETS} WHERE tenant_id = $1 AND event_id = (
        SELECT event_id FROM processor.event_keys WHERE tenant_id = $1 AND digest = $2)
"""  # noqa: S608 - constants


async def bury_label(connection: db.Connection, tenant_id: str, row: asyncpg.Record) -> int:
    """Turn the label of a mail's event into a tombstone, in the transaction that does so with the event.

    Args:
        connection: A connection in a transaction.
        tenant_id: The tenant.
        row: The event, with its ids, its kind and its parts.

    Returns:
        The number of labels, 0 or 1. Safe to call again.
    """
    if row["kind"] != KIND_MAIL:
        return 0
    await connection.execute(_HOLD, tenant_id)
    try:
        mail = event_pb2.NormalizedMailEvent.FromString(plain(open_part(row, "basic")))
    except SealBroken:  # the mail's ids are lost with its content, and an erasure has to end
        return 0
    label = event_pb2.NormalizedMailEvent(
        tenant_id=tenant_id, message_id=mail.message_id, generation=mail.generation, event_type=MAIL_CLASSIFIED
    )
    label.classification.classified_event_id = str(row["event_id"])
    key = EventDraft(mail=label).key()
    return db.affected(await connection.execute(_BURY, tenant_id, key, *BURIED.values()))


def replayed_label(row: asyncpg.Record, _: Person) -> dict[str, object] | None:
    """Return the tombstone of a replayed label whose original has gone."""
    return BURIED if row["is_original_erased"] else None
