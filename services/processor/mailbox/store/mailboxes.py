"""The statements over mailboxes: the fence, the throttle, the next reconciliation; `row_changes` has the others."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from services.meshkit import db
from services.processor.mailbox.intervals import Intervals
from services.processor.mailbox.store.due_queues import DueQueue, names_of_due

HISTORY_DUE = DueQueue(
    "history",
    """
    SELECT tenant_id, LEAST(history_due_at, resync_due_at) AS due_at FROM processor.mailboxes
    WHERE history_due_at <= now() OR resync_due_at <= now()
    """,
)
"""The mailboxes whose history or reconciliation by time is due."""


class FencedError(Exception):
    """Another worker holds the mailbox's lease now: this worker must not commit any more."""


@dataclass(frozen=True)
class Mailbox:
    """A mailbox's row.

    Args:
        tenant_id: The tenant's UUID.
        fence: The highest fence seen.
        history_id: The Gmail cursor: everything up to it is read and committed. None before the first.
        covered_from: When coverage began.
        throttled_until: The provider asked for no requests before this time.
        last_event_at: When its newest event was committed.
        caught_up_at: When every older change was last committed: the Gmail cursor was at the mailbox's end, or every
            changed message of a Microsoft mailbox whose subscriptions cover all mail was read.
        last_reconciled_at: When it was last reconciled completely.
        resync: The progress of a reconciliation by time; None when none is under way.
        history_claim: The Gmail history id that a read reached and that another read has to confirm, or None.
        history_claimed_at: When the read that reached it began.
        history_due_at: When history is read again even without a push, or None.
        history_anchor: The Gmail cursor at the last reconciliation, from which the next one reads again, or None.
        cursor_refusals: The refusals of the Gmail cursor in a row.
        throttles: The throttled attempts in a row, since anything was committed.
        resync_due_at: When a reconciliation by time continues in the background, or None.
        listing_refusals: The complete rounds in a row that replaced a refused listing of changes at Microsoft.
    """

    tenant_id: str
    fence: int
    history_id: int | None
    covered_from: datetime | None
    throttled_until: datetime | None
    last_event_at: datetime | None
    caught_up_at: datetime | None
    last_reconciled_at: datetime | None
    resync: dict[str, Any] | None
    history_claim: int | None = None
    history_claimed_at: datetime | None = None
    history_due_at: datetime | None = None
    history_anchor: int | None = None
    cursor_refusals: int = 0
    throttles: int = 0
    resync_due_at: datetime | None = None
    listing_refusals: int = 0


_NAMES = tuple(field.name for field in fields(Mailbox))
_COLUMNS = ", ".join(_NAMES)
_OPEN = """
    INSERT INTO processor.mailboxes AS m (tenant_id, fence, covered_from, is_polled, is_watched, reconcile_due_at)
    SELECT $1::uuid, $2::bigint, $3::timestamptz, $4::boolean, $5::boolean, now() + $6::interval
    WHERE NOT EXISTS (SELECT FROM processor.erased_tenants WHERE tenant_id = $1)
    ON CONFLICT (tenant_id) DO UPDATE SET
        fence = excluded.fence,
        covered_from = LEAST(m.covered_from, excluded.covered_from),
        is_polled = excluded.is_polled,
        is_watched = excluded.is_watched,
        reconcile_due_at = LEAST(m.reconcile_due_at, excluded.reconcile_due_at)
    WHERE m.fence <= excluded.fence
    RETURNING {}, set_config('synchronous_commit', 'off', true), {}
"""


async def open_mailbox(
    connection: db.Connection,
    tenant_id: str,
    fence: int,
    covered_from: datetime | None,
    *,
    is_polled: bool,
    is_watched: bool,
    reconcile_within: Any,
    queues: Sequence[DueQueue] = (),
) -> tuple[Mailbox, frozenset[str]]:
    """Raise the fence: from now on, a holder of a lower one cannot commit. Safe to call again.

    It does not wait for the disk or a standby. PostgreSQL loses the raise only together with every later commit, so no
    commit of this holder survives without it, and further ones are refused: each requires its own fence in the row.

    Args:
        connection: Outside of a transaction, so that only this statement is not waited for.
        tenant_id: The tenant's UUID.
        fence: The fence of the lease.
        covered_from: When coverage began, if known.
        is_polled: Whether no push tells of the mailbox's changes.
        is_watched: Whether a subscription watches the mailbox.
        reconcile_within: The longest time until the next reconciliation.
        queues: The wings' queues.

    Returns:
        The mailbox, and the names of the queues in which the tenant has due entries.

    Raises:
        FencedError: A higher fence was seen.
    """
    statement = _OPEN.format(_COLUMNS, f"{names_of_due(queues, 'm.tenant_id')} AS due_queues")
    row = await connection.fetchrow(statement, tenant_id, fence, covered_from, is_polled, is_watched, reconcile_within)
    return _mailbox(row), frozenset(row["due_queues"] if row else ())


async def lock_fenced(connection: db.Connection, tenant_id: str, fence: int) -> Mailbox:
    """Lock the mailbox's row for the transaction: the first statement of every commit.

    Raises:
        FencedError: The fence is no longer ours.
    """
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM processor.mailboxes WHERE tenant_id = $1 AND fence = $2 FOR NO KEY UPDATE",  # noqa: S608
        tenant_id,
        fence,
    )
    return _mailbox(row)


async def postpone_history(connection: db.Connection, tenant_id: str, until: datetime) -> None:
    """Put off the due reads of history and steps of a comparison of one mailbox, while it cannot be read."""
    await connection.execute(
        """
        UPDATE processor.mailboxes
        SET history_due_at = CASE WHEN history_due_at < $2 THEN $2 ELSE history_due_at END,
            resync_due_at = CASE WHEN resync_due_at < $2 THEN $2 ELSE resync_due_at END
        WHERE tenant_id = $1 AND (history_due_at < $2 OR resync_due_at < $2)
        """,
        tenant_id,
        until,
    )


async def set_throttled(connection: db.Connection, tenant_id: str, until: datetime, throttles: int) -> None:
    """Store the time before which the provider asked for no requests, and the throttled attempts in a row."""
    await connection.execute(
        "UPDATE processor.mailboxes SET throttled_until = $2, throttles = $3 WHERE tenant_id = $1",
        tenant_id,
        until,
        throttles,
    )


async def bound_due(connection: db.Connection, longest: timedelta) -> None:
    """Spread the reconciliations that another, longer interval put off over the longest interval of now."""
    await connection.execute(
        """
        UPDATE processor.mailboxes SET reconcile_due_at = now() + $1::interval * random()
        WHERE is_watched AND reconcile_due_at > now() + $1::interval * 1.2
        """,
        longest,
    )


async def take_due(connection: db.Connection, intervals: Intervals, limit: int) -> list[tuple[str, bool]]:
    """Take active mailboxes whose reconciliation is due, and set when it is due next, with jitter.

    The interval of a mailbox with pushes is a twelfth of the time since its last event, within the bounds: one with
    an event within the last twelve intervals is in use, and the interval of a silent one grows slowly.

    Returns:
        The tenants' ids, each with whether the mailbox is polled.
    """
    rows = await connection.fetch(
        """
        WITH due AS (
            SELECT m.tenant_id FROM processor.mailboxes m
            JOIN processor.tenants t USING (tenant_id)
            WHERE m.is_watched AND m.reconcile_due_at <= now() AND t.status IN ('active', 'token_expired')
            ORDER BY m.reconcile_due_at LIMIT $3 FOR UPDATE OF m SKIP LOCKED
        )
        UPDATE processor.mailboxes m
        SET reconcile_due_at =
            now() + (0.9 + random() * 0.2) * CASE
                WHEN m.is_polled THEN $1::interval
                ELSE greatest($2::interval, least($4::interval,
                    (now() - coalesce(m.last_event_at, m.covered_from, now())) / 12))
            END
        FROM due WHERE m.tenant_id = due.tenant_id
        RETURNING m.tenant_id, m.is_polled
        """,
        intervals.polled,
        intervals.active,
        limit,
        intervals.idle,
    )
    return [(str(row["tenant_id"]), row["is_polled"]) for row in rows]


def _mailbox(row: asyncpg.Record | None) -> Mailbox:
    if row is None:
        raise FencedError
    values = {name: row[name] for name in _NAMES}
    resync = values.pop("resync")
    return Mailbox(
        **{**values, "tenant_id": str(values["tenant_id"])}, resync=None if resync is None else json.loads(resync)
    )
