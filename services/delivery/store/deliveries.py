"""The statements over deliveries: the queue of each endpoint."""

from collections.abc import Sequence
from datetime import datetime

from services.delivery.store.rows import Delivery
from services.meshkit import db
from services.meshkit.erasing import marked

# An event of a message that waits already is due no earlier than the message's last one. Events are read again from an
# earlier position: one that waits still gets a place behind its message's earlier events, which have just got theirs.
_INSERT = """
    INSERT INTO delivery.deliveries (endpoint_id, event_id, tenant_id, event_type, order_key, body, due_at)
    SELECT $1, n.event_id, n.tenant_id, n.event_type, n.order_key, n.body, greatest(now(), (
        SELECT max(d.due_at) FROM delivery.deliveries d
        WHERE d.endpoint_id = $1 AND d.order_key = n.order_key AND d.due_at IS NOT NULL))
    FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bytea[])
        WITH ORDINALITY AS n (event_id, tenant_id, event_type, order_key, body, place)
    ORDER BY n.place
    ON CONFLICT (endpoint_id, event_id) DO UPDATE SET sequence = DEFAULT WHERE deliveries.due_at IS NOT NULL
"""
# The first of each message, soonest due first. Those that are not due yet tell the time of the next check.
_NEXT = """
    SELECT event_id, tenant_id, event_type, order_key, body, attempts,
        extract(epoch FROM due_at - now())::float8 AS wait_seconds
    FROM delivery.deliveries d
    WHERE endpoint_id = $1 AND due_at IS NOT NULL AND order_key <> ALL($2::text[]) AND NOT EXISTS (
        SELECT FROM delivery.deliveries e
        WHERE e.endpoint_id = $1 AND e.order_key = d.order_key AND e.sequence < d.sequence AND e.due_at IS NOT NULL)
    ORDER BY CASE WHEN due_at > now() THEN 2 WHEN $4 AND attempts > 0 THEN 1 ELSE 0 END, due_at, sequence LIMIT $3
"""
_HELD = """
    SELECT event_id::text AS event_id FROM delivery.deliveries WHERE endpoint_id = $1 AND event_id = ANY($2::uuid[])
    ORDER BY sequence FOR UPDATE
"""
_HAS_EARLIER = """
    EXISTS (
        SELECT FROM delivery.deliveries e WHERE e.endpoint_id = $1 AND e.order_key = d.order_key
            AND e.sequence < d.sequence AND e.due_at IS NOT NULL)
"""
_FINISH = (
    f"""
    DELETE FROM delivery.deliveries d WHERE endpoint_id = $1 AND event_id = ANY($2::uuid[]) AND NOT {_HAS_EARLIER}
    """,  # noqa: S608 - constants
    f"""
    UPDATE delivery.deliveries d SET attempts = 0, failed_at = NULL
    WHERE endpoint_id = $1 AND event_id = ANY($2::uuid[]) AND {_HAS_EARLIER}
    """,  # noqa: S608 - constants
)
_COUNT = """
    SELECT count(*) AS waiting, count(*) FILTER (WHERE due_at <= now()) AS due FROM delivery.deliveries
    WHERE endpoint_id = $1 AND due_at IS NOT NULL
"""
_HOLD_BACK = """
    UPDATE delivery.deliveries SET due_at = $3
    WHERE endpoint_id = $1 AND order_key = $2 AND due_at IS NOT NULL AND due_at < $3
"""
_LET_GO = """
    UPDATE delivery.deliveries SET due_at = now()
    WHERE endpoint_id = $1 AND due_at > now() AND ($2::text[] IS NULL OR order_key = ANY($2))
"""
# Failed first then or later. Their messages' later events were held back with them.
_LET_GO_SINCE = """
    UPDATE delivery.deliveries SET due_at = now()
    WHERE endpoint_id = $1 AND due_at > now() AND order_key IN (
        SELECT order_key FROM delivery.deliveries WHERE endpoint_id = $1 AND due_at > now() AND failed_at >= $2)
"""
_REVIVE = """
    UPDATE delivery.deliveries
    SET due_at = now(), exhausted_at = NULL, failed_at = CASE WHEN due_at IS NULL THEN NULL ELSE failed_at END,
        attempts = CASE WHEN due_at IS NULL THEN 0 ELSE attempts END
    WHERE endpoint_id = $1 AND event_id = $2
"""
_EXHAUSTED = "endpoint_id = $1 AND exhausted_at IS NOT NULL AND ($2::timestamptz IS NULL OR exhausted_at >= $2)"


async def insert(connection: db.Connection, endpoint_id: str, new: Sequence[Delivery]) -> None:
    """Add deliveries at the end of an endpoint's queue. One that waits there already moves to the end.

    It keeps its schedule, and an exhausted one stays as it is. Those of erased tenants are left out: the events were
    read before the tenant was erased.

    Args:
        connection: In a transaction.
        endpoint_id: The endpoint.
        new: The deliveries.
    """
    erased = await marked(connection, "delivery", {one.tenant_id for one in new})
    new = [one for one in new if one.tenant_id not in erased]
    names = ("event_id", "tenant_id", "event_type", "order_key", "body")
    columns = ([getattr(one, name) for one in new] for name in names)
    await connection.execute(_INSERT, endpoint_id, *columns)


async def following(
    connection: db.Connection, endpoint_id: str, busy: Sequence[str], limit: int, *, prefers_new: bool = False
) -> list[Delivery]:
    """Read the first delivery of each message, soonest due first; not those of messages that are being delivered.

    Args:
        connection: A connection to PostgreSQL.
        endpoint_id: The endpoint.
        busy: The messages that are being delivered.
        limit: The largest number of deliveries.
        prefers_new: Whether due ones without a failed attempt come before the other due ones.
    """
    found = await connection.fetch(_NEXT, endpoint_id, busy, limit, prefers_new)
    return [
        Delivery(**{**one, "event_id": str(one["event_id"]), "tenant_id": str(one["tenant_id"])})
        for one in map(dict, found)
    ]


async def count(connection: db.Connection, endpoint_id: str) -> tuple[int, int]:
    """Count an endpoint's waiting deliveries, and those that are due."""
    found = await connection.fetchrow(_COUNT, endpoint_id)
    assert found is not None  # noqa: S101 - an aggregate has one row
    return found["waiting"], found["due"]


async def held(connection: db.Connection, endpoint_id: str, event_ids: Sequence[str]) -> frozenset[str]:
    """Return the events that are in an endpoint's queue still. They stay there until the transaction ends."""
    found = await connection.fetch(_HELD, endpoint_id, event_ids)
    return frozenset(row["event_id"] for row in found)


async def finish(connection: db.Connection, endpoint_id: str, event_ids: Sequence[str]) -> None:
    """Remove delivered ones, except one whose message's earlier events came into the queue during its attempt.

    That one is delivered once more behind them, so that the message's last event is the last one that arrives.
    """
    for statement in _FINISH:
        await connection.execute(statement, endpoint_id, event_ids)


async def postpone(
    connection: db.Connection, endpoint_id: str, failed: Delivery, now: datetime, until: datetime
) -> None:
    """Count a failed attempt, and hold back the message until the next one."""
    await connection.execute(
        "UPDATE delivery.deliveries SET attempts = attempts + 1, failed_at = coalesce(failed_at, $3)"
        " WHERE endpoint_id = $1 AND event_id = $2",
        endpoint_id,
        failed.event_id,
        now,
    )
    await connection.execute(_HOLD_BACK, endpoint_id, failed.order_key, until)


async def exhaust(connection: db.Connection, endpoint_id: str, failed: Delivery, now: datetime) -> None:
    """End a delivery without success. It is kept; the message's later events go on."""
    await connection.execute(
        "UPDATE delivery.deliveries SET attempts = attempts + 1, due_at = NULL, exhausted_at = $3"
        " WHERE endpoint_id = $1 AND event_id = $2",
        endpoint_id,
        failed.event_id,
        now,
    )


async def let_go(connection: db.Connection, endpoint_id: str, order_keys: Sequence[str] | None = None) -> None:
    """Make the waiting deliveries of some messages due now; of all messages without a choice."""
    await connection.execute(_LET_GO, endpoint_id, order_keys)


async def let_go_since(connection: db.Connection, endpoint_id: str, since: datetime) -> None:
    """Make the messages due now of which a delivery failed first at a time or later."""
    await connection.execute(_LET_GO_SINCE, endpoint_id, since)


async def revive(connection: db.Connection, endpoint_id: str, event_id: str) -> bool:
    """Make a delivery due now, with a new schedule if it was exhausted; return whether it is in the queue."""
    return db.affected(await connection.execute(_REVIVE, endpoint_id, event_id)) > 0


async def count_exhausted(connection: db.Connection, endpoint_id: str, since: datetime | None) -> int:
    """Count the deliveries that were exhausted at a time or later; None means all."""
    statement = f"SELECT count(*) FROM delivery.deliveries WHERE {_EXHAUSTED}"  # noqa: S608 - constants
    return int(await connection.fetchval(statement, endpoint_id, since))


async def recover(connection: db.Connection, endpoint_id: str, since: datetime | None) -> int:
    """Make exhausted deliveries due now, with a new schedule; return their number."""
    changed = "due_at = now(), failed_at = NULL, exhausted_at = NULL, attempts = 0"
    statement = f"UPDATE delivery.deliveries SET {changed} WHERE {_EXHAUSTED}"  # noqa: S608 - constants
    return db.affected(await connection.execute(statement, endpoint_id, since))
