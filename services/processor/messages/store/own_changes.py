"""The statements over our own changes of mails: what workers were about to change, until its event recognises it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from services.meshkit import db
from services.processor.mailbox.seen_change import SeenChange
from services.processor.messages.rows import OwnChange

_INTEND = """
    INSERT INTO processor.own_changes AS o
        (tenant_id, message_id, modification_id, fields, labels_added, labels_removed, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (tenant_id, message_id, modification_id) DO UPDATE SET expires_at = excluded.expires_at,
        fields = ARRAY(SELECT unnest(o.fields) UNION SELECT unnest(excluded.fields)),
        labels_added = ARRAY(SELECT unnest(o.labels_added) UNION SELECT unnest(excluded.labels_added)),
        labels_removed = ARRAY(SELECT unnest(o.labels_removed) UNION SELECT unnest(excluded.labels_removed))
"""
_FIND = """
    SELECT message_id, modification_id, version, fields, labels_added, labels_removed FROM processor.own_changes
    WHERE tenant_id = $1 AND message_id = ANY($2::text[]) AND expires_at > now() ORDER BY modification_id
"""
_DELETE_OLD = """
    DELETE FROM processor.own_changes WHERE ctid IN (
        SELECT ctid FROM processor.own_changes WHERE expires_at < now() LIMIT $1
    )
"""
# They prove no change by a person: the provider computes the first two from others, and Gmail names attachments by new
# ids at each fetch.
_DERIVED = frozenset({"size_bytes", "web_link", "attachments"})


async def intend(
    connection: db.Connection, tenant_id: str, modification_id: str, changes: Sequence[OwnChange], until: datetime
) -> None:
    """Store changes that are about to be made. A repeated intent keeps the first's version, and the fields of both."""
    await connection.executemany(
        _INTEND,
        [
            (
                tenant_id, one.message_id, modification_id, list(one.fields), list(one.labels_added),
                list(one.labels_removed), until,
            )
            for one in changes
        ],
    )  # fmt: skip


async def made(connection: db.Connection, tenant_id: str, modification_id: str, versions: Mapping[str, str]) -> None:
    """Store the versions of mails after their changes."""
    await connection.execute(
        """
        UPDATE processor.own_changes o SET version = found.version
        FROM unnest($3::text[], $4::text[]) AS found (message_id, version)
        WHERE o.tenant_id = $1 AND o.modification_id = $2 AND o.message_id = found.message_id
        """,
        tenant_id,
        modification_id,
        list(versions),
        list(versions.values()),
    )


async def forget(connection: db.Connection, tenant_id: str, modification_id: str, message_ids: Sequence[str]) -> None:
    """Delete intended changes that the provider surely did not make."""
    await connection.execute(
        "DELETE FROM processor.own_changes WHERE tenant_id = $1 AND modification_id = $2 AND message_id = ANY($3)",
        tenant_id,
        modification_id,
        list(message_ids),
    )


async def disclaim(connection: db.Connection, tenant_id: str, message_ids: Sequence[str], field: str) -> None:
    """Claim a field of some mails as our own change no more, in any modification: another has changed it meanwhile."""
    await connection.execute(
        "UPDATE processor.own_changes SET fields = array_remove(fields, $3)"
        " WHERE tenant_id = $1 AND message_id = ANY($2::text[]) AND $3 = ANY(fields)",
        tenant_id,
        list(message_ids),
        field,
    )


async def recognise(connection: db.Connection, tenant_id: str, seen: Sequence[SeenChange]) -> dict[str, str]:
    """Tell which changes are our own entirely, and forget them. See `mail.commit.OwnChanges`."""
    rows = await connection.fetch(_FIND, tenant_id, [one.message_id for one in seen])
    by_message: dict[str, list[Mapping[str, object]]] = {}
    for row in rows:
        by_message.setdefault(row["message_id"], []).append(dict(row))
    own = {
        one.message_id: str(mine[-1]["modification_id"])
        for one in seen
        if (mine := by_message.get(one.message_id)) and _is_own(one, mine)
    }
    if own:
        await connection.execute(
            "DELETE FROM processor.own_changes WHERE tenant_id = $1 AND message_id = ANY($2::text[])",
            tenant_id,
            list(own),
        )
    return own


def _is_own(seen: SeenChange, mine: Sequence[Mapping[str, object]]) -> bool:
    """Return whether every difference is one that we made. A change with a person's beside it is not our own.

    No differences are proof of nothing: the change may concern what events do not report. Its version alone proves it.
    """
    if not seen.is_compared or not any(row["version"] in _proofs(seen) for row in mine):
        return False
    fields, added, removed = (_union(mine, name) for name in ("fields", "labels_added", "labels_removed"))
    is_marked = seen.fields - _DERIVED <= fields
    return is_marked and seen.labels_added <= added and seen.labels_removed <= removed


def _proofs(seen: SeenChange) -> set[str]:
    """Return the versions of ours that may belong to a change; an answer that was lost, or of Gmail, has none."""
    is_visible = seen.fields - _DERIVED or seen.labels_added or seen.labels_removed
    return {seen.version, ""} if is_visible else {seen.version} - {""}


def _union(rows: Sequence[Mapping[str, object]], name: str) -> frozenset[str]:
    return frozenset(value for row in rows for value in row[name])  # type: ignore[attr-defined]


async def delete_expired(connection: db.Connection, limit: int) -> int:
    """Delete changes that no event is expected for any more; return their number."""
    return db.affected(await connection.execute(_DELETE_OLD, limit))
