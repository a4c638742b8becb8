"""The statements over sends."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import asyncpg
import structlog

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit import db
from services.processor.erased_requests import BY_KEY, IS_SAME
from services.processor.outbox.rows import UNSUBMITTED, MailCopy, SendRow, State, head_and_body
from services.processor.stream.contents import CONTENTS, is_sealed
from services.processor.stream.errors import SealBroken
from services.processor.stream.metrics import SEALS_BROKEN

logger = structlog.get_logger(__name__)

_NAMES = tuple(field.name for field in fields(SendRow) if field.name != "is_broken")
_HEAD_COLUMNS = ", ".join(_NAMES)
COLUMNS = f"{_HEAD_COLUMNS}, body"
"""The columns of a send, as `row_of` takes them."""
_CHANGEABLE = {*_NAMES, "body"} - {"content"}
UNSUBMITTED_STATES = [int(state) for state in UNSUBMITTED]
PAGE_BYTES = 2 * 1024 * 1024
"""The size at which a page of sends ends, in bytes of their content; a page has one send at least."""
SEALED_COLUMNS = ("content", "body", "addressed")
"""The columns that are sealed for tenants that chose it."""
_INSERT = f"""
    INSERT INTO processor.sends (send_id, tenant_id, idempotency_key, digest, provider, content, state, correlation_id,
        send_at, due_at, deadline_at, key_id, body, is_plain)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
    RETURNING {COLUMNS}
"""  # noqa: S608 - constants
_DELETE_OLD = """
    DELETE FROM processor.sends WHERE send_id IN (
        SELECT send_id FROM processor.sends WHERE finished_at < $1 AND state <> $3 ORDER BY finished_at LIMIT $2
    )
"""
# The sizes are read from the rows' heads without the values; the bytes before a send end the page.
_PAGE = f"""
    SELECT {_HEAD_COLUMNS}, found FROM (
        SELECT *, count(*) OVER () AS found,
            sum(octet_length(content) + octet_length(addressed)) OVER (ORDER BY send_id DESC)
                - octet_length(content) - octet_length(addressed) AS before
        FROM (SELECT {_HEAD_COLUMNS} FROM processor.sends WHERE {{}} ORDER BY send_id DESC LIMIT $1) AS newest
    ) AS sized WHERE before < $2 ORDER BY send_id DESC LIMIT $1 - 1
"""  # noqa: S608 - constants


_UNSEALED = """
    SELECT send_id, content, body, addressed FROM processor.sends
    WHERE tenant_id = $1 AND (substr(content, 1, 1) <> '\\x01' AND content <> ''
        OR substr(body, 1, 1) <> '\\x01' AND body <> '' OR substr(addressed, 1, 1) <> '\\x01' AND addressed <> '')
    ORDER BY send_id LIMIT 8 FOR UPDATE
"""
_SEAL = """
    UPDATE processor.sends SET content = $3, body = $4, addressed = $5 WHERE tenant_id = $1 AND send_id = $2
"""


async def insert(connection: db.Connection, row: Mapping[str, Any]) -> SendRow | None:
    """Insert a send. Return None when the tenant has one with this key."""
    names = ("send_id", "tenant_id", "idempotency_key", "digest", "provider", "content", "state", "correlation_id")
    content: pb2.SendRequest = row["content"]
    head, body = head_and_body(content)
    # A plain send is one that the release before the schema's 0006 sends as it was asked for.
    has_more = content.HasField("from_address") or content.headers or content.attachments or content.is_draft_only
    is_plain = content.HasField("mail") and not has_more
    tenant_id, send_id = row["tenant_id"], row["send_id"]
    stored = {**row, "content": sealed(tenant_id, send_id, "content", head)}
    values = [stored[name] for name in (*names, "send_at", "due_at", "deadline_at", "key_id")]
    body = sealed(tenant_id, send_id, "body", body)
    found = await connection.fetchrow(_INSERT, *values, body, is_plain)
    return None if found is None else row_of(found)


async def by_key(connection: db.Connection, tenant_id: str, key: str, digest: bytes) -> tuple[SendRow, bool] | None:
    """Read the send with a key, and whether its content has the digest; an erased one is found as well."""
    found = await connection.fetchrow(
        f"SELECT {COLUMNS}, {IS_SAME} FROM processor.sends WHERE tenant_id = $1 AND {BY_KEY}",  # noqa: S608
        tenant_id,
        key,
        digest,
    )
    return None if found is None else (row_of(found), found["is_same"])


async def by_id(
    connection: db.Connection, send_id: str, scope: list[str] | None, *, lock: bool = False
) -> SendRow | None:
    """Read a send of a tenant in scope; None scopes mean all tenants."""
    found = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM processor.sends WHERE send_id = $1"  # noqa: S608
        f" AND ($2::uuid[] IS NULL OR tenant_id = ANY($2)){' FOR UPDATE' if lock else ''}",
        send_id,
        scope,
    )
    return None if found is None else row_of(found)


async def by_internet_ids(connection: db.Connection, tenant_id: str, ids: Sequence[str]) -> list[SendRow]:
    """Read the sends of a tenant by the Message-IDs of their mails, without their bodies."""
    rows = await connection.fetch(
        f"SELECT {_HEAD_COLUMNS} FROM processor.sends"  # noqa: S608 - constants
        " WHERE tenant_id = $1 AND internet_message_id <> '' AND internet_message_id = ANY($2)"
        " ORDER BY send_id FOR UPDATE",
        tenant_id,
        list(ids),
    )
    return [row_of(row) for row in rows]


async def stamp(connection: db.Connection, tenant_id: str, send_id: str, copy: MailCopy) -> SendRow | None:
    """Store the ids of a sent copy that was found after the outcome, once; return the send if it had none before.

    Only at Microsoft, where the mark is a property that no mail brings along; Gmail's is a header, which can be copied.
    """
    found = await connection.fetchrow(
        "UPDATE processor.sends SET message_id = $3, internet_message_id = $4, provider_thread_id = $5"  # noqa: S608
        " WHERE tenant_id = $1 AND send_id = $2 AND internet_message_id = '' AND state = $6 AND provider = 'ms365'"
        f" RETURNING {_HEAD_COLUMNS}",
        tenant_id,
        send_id,
        copy.message_id,
        copy.internet_message_id,
        copy.thread_id,
        int(State.SENT),
    )
    return None if found is None else row_of(found)


async def page(
    connection: db.Connection,
    scope: list[str] | None,
    states: Sequence[int],
    before: str | None,
    limit: int,
    page_bytes: int = PAGE_BYTES,
) -> tuple[list[SendRow], bool]:
    """Read a page of sends without their bodies, newest first.

    Args:
        connection: A connection.
        scope: The tenants; None means all.
        states: The states; none means all.
        before: The id after which the page begins.
        limit: The largest number of sends.
        page_bytes: The size at which the page ends.

    Returns:
        The sends, and whether more follow.
    """
    asked = {"tenant_id = ANY({}::uuid[])": scope, "state = ANY({}::smallint[])": list(states) or None}
    given = {**asked, "send_id < {}::uuid": before}
    conditions = {text: value for text, value in given.items() if value is not None}
    where = " AND ".join(text.format(f"${place}") for place, text in enumerate(conditions, start=3))
    rows = await connection.fetch(_PAGE.format(where or "true"), limit + 1, page_bytes, *conditions.values())
    return [row_of(row) for row in rows], bool(rows) and rows[0]["found"] > len(rows)


async def count_waiting(connection: db.Connection, tenant_id: str) -> int:
    """Count the sends of a tenant that a worker still has to act on."""
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM processor.sends WHERE tenant_id = $1 AND due_at IS NOT NULL", tenant_id
        )
    )


async def change(
    connection: db.Connection, send_id: str, expected: Sequence[State], values: Mapping[str, Any]
) -> SendRow | None:
    """Change a send that is in one of the expected states; return None when it is in another."""
    names = list(values)
    unknown = set(names) - _CHANGEABLE
    if unknown:
        msg = f"no columns of a send: {sorted(unknown)}"
        raise ValueError(msg)
    assigned = ", ".join(f"{name} = ${place}" for place, name in enumerate(names, start=3))
    found = await connection.fetchrow(
        f"UPDATE processor.sends SET {assigned} WHERE send_id = $1 AND state = ANY($2::smallint[])"  # noqa: S608
        f" RETURNING {COLUMNS}",
        send_id,
        [int(state) for state in expected],
        *values.values(),
    )
    return None if found is None else row_of(found)


async def lock_unfinished(connection: db.Connection) -> SendRow | None:
    """Lock one send that has no outcome yet and is not sealed; return None when there is none."""
    found = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM processor.sends WHERE state = ANY($1::smallint[])"  # noqa: S608 - constants
        " AND substr(content, 1, 1) <> '\\x01' ORDER BY state, send_id LIMIT 1 FOR UPDATE",
        [*UNSUBMITTED_STATES, int(State.SENDING)],
    )
    return None if found is None else row_of(found)


async def doubt_sealed(connection: db.Connection) -> int:
    """Put every sealed send without an outcome in doubt, without opening it; return their number.

    No worker acts on them before the round of retention that ends them, as ones that were submitted and are past their
    deadline: they become uncertain, or sent if the provider had accepted them.
    """
    return db.affected(
        await connection.execute(
            "UPDATE processor.sends SET state = $2, due_at = now() + interval '1 day', deadline_at = now() - interval"
            " '1 year' WHERE state = ANY($1::smallint[]) AND substr(content, 1, 1) = '\\x01'",
            [*UNSUBMITTED_STATES, int(State.SENDING)],
            int(State.SENDING),
        )
    )


async def delete_finished(connection: db.Connection, before: datetime, limit: int) -> int:
    """Delete sends that had their outcome before a time; return their number. An uncertain one waits for a person."""
    return db.affected(await connection.execute(_DELETE_OLD, before, limit, int(State.UNCERTAIN)))


async def own_messages(connection: db.Connection, tenant_id: str, marks: Mapping[str, str]) -> dict[str, str]:
    """Tell which marked messages are the mail of the tenant's own sends.

    Args:
        connection: A connection in a transaction.
        tenant_id: The tenant.
        marks: The marks by message id. A mark alone proves nothing: a copy of a message has the same one.

    Returns:
        The ids of sends by message id.
    """
    rows = await connection.fetch(
        """
        SELECT asked.message_id, s.send_id FROM unnest($2::text[], $3::text[]) AS asked (message_id, mark)
        JOIN processor.sends s ON s.tenant_id = $1 AND s.send_id::text = asked.mark
        WHERE s.submitted_at IS NOT NULL AND s.message_id IN ('', asked.message_id)
        """,
        tenant_id,
        list(marks),
        list(marks.values()),
    )
    return {row["message_id"]: str(row["send_id"]) for row in rows}


def sealed(tenant_id: str, send_id: str, column: str, value: bytes) -> bytes:
    """Return a value as it is stored in one of `SEALED_COLUMNS`. Raises `ContentKeyUnavailable`."""
    return CONTENTS.seal(tenant_id, value, *_owner(send_id, column))


def opened(row: Any, column: str) -> bytes:
    """Return a stored value of a row that has its ids. Raises `ContentKeyUnavailable`, `SealBroken`."""
    return CONTENTS.open(row["tenant_id"], row[column], *_owner(row["send_id"], column))


async def seal_some(connection: db.Connection, tenant_id: str) -> int:
    """Seal some stored sends of a tenant that are not sealed; return how many. Raises `ContentKeyUnavailable`."""
    rows = await connection.fetch(_UNSEALED, tenant_id)
    for row in rows:
        values = {
            name: row[name] if is_sealed(row[name]) else sealed(tenant_id, str(row["send_id"]), name, row[name])
            for name in SEALED_COLUMNS
        }
        await connection.execute(_SEAL, tenant_id, row["send_id"], *values.values())
    return len(rows)


def _owner(send_id: Any, column: str) -> tuple[str, str, str]:
    return "send", str(send_id), column


def row_of(found: asyncpg.Record) -> SendRow:
    """Return the send of a row with `COLUMNS`, or without the body; one that does not open is marked as broken."""
    values = {name: found[name] for name in _NAMES}
    try:
        # A request and its body, one after the other, are one message.
        content = opened(found, "content") + (opened(found, "body") if "body" in found else b"")
        addressed, is_broken = opened(found, "addressed"), False
    except SealBroken:  # one send must stop neither its mailbox nor a list: it is returned as broken
        content, addressed, is_broken = b"", b"", True
        SEALS_BROKEN.inc()
        logger.error(  # noqa: TRY400 - the error says no more than the ids
            "a send's seal is broken", tenant_id=str(found["tenant_id"]), send_id=str(found["send_id"])
        )
    values |= {
        "send_id": str(values["send_id"]),
        "tenant_id": str(values["tenant_id"]),
        "content": pb2.SendRequest.FromString(content),
        "addressed": pb2.NewMail.FromString(addressed),
        "state": State(values["state"]),
    }
    return SendRow(**values, is_broken=is_broken)
