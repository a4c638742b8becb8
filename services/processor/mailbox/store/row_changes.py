"""Changes of a mailbox's row that need no other write: each is one statement with the fence, alone or within another.

A transaction for one of them would be four round trips: begin, lock the row, change it, commit.
"""

from dataclasses import dataclass
from datetime import datetime

from services.meshkit import db
from services.processor.mailbox.store.mailboxes import FencedError


@dataclass(frozen=True)
class RowChange:
    """A change of a mailbox's row.

    Args:
        assignments: The assignments of an UPDATE; `{0}` stands for the first value.
        values: The values.
    """

    assignments: str
    values: tuple[object, ...]

    def assigning(self, arguments_before: int) -> str:
        """Return the assignments of a statement that has so many arguments before the values."""
        return self.assignments.format(*(f"${arguments_before + number + 1}" for number in range(len(self.values))))


async def save(connection: db.Connection, tenant_id: str, fence: int, change: RowChange) -> None:
    """Change the row, on condition that it has the holder's fence. Outside of a transaction it is committed by itself.

    Raises:
        FencedError: The fence is no longer ours; nothing is written.
    """
    row = await connection.fetchrow(
        f"UPDATE processor.mailboxes SET {change.assigning(2)} WHERE tenant_id = $1 AND fence = $2 RETURNING tenant_id",  # noqa: S608
        tenant_id,
        fence,
        *change.values,
    )
    if row is None:
        raise FencedError


def history_read(
    history_id: int, claim: int | None, claimed_at: datetime | None, due_at: datetime | None, caught_up_at: datetime
) -> RowChange:
    """The Gmail cursor, which never moves backwards, at the end of history; and the claim that another read confirms.

    A stored cursor was accepted by Gmail, so its refusals are forgotten.

    Args:
        history_id: The cursor.
        claim: The history id that a later read has to confirm.
        claimed_at: When the read that reached it began.
        due_at: When history is read again even without a push.
        caught_up_at: The time up to which every change is committed.
    """
    return RowChange(
        "history_id = GREATEST(coalesce(history_id, 0), {0}), history_claim = {1}, history_claimed_at = {2},"
        " history_due_at = {3}, cursor_refusals = 0, caught_up_at = {4}",
        (history_id, claim, claimed_at, due_at, caught_up_at),
    )


def history_begun(history_id: int) -> RowChange:
    """The first Gmail cursor; an existing one stays."""
    return RowChange("history_id = coalesce(history_id, {0})", (history_id,))


def history_restarted(history_id: int) -> RowChange:
    """The first cursor after a lost one, also below it, which is the anchor too."""
    return RowChange(
        "history_id = {0}, history_anchor = {0}, history_claim = NULL, history_claimed_at = NULL,"
        " history_due_at = NULL, cursor_refusals = 0",
        (history_id,),
    )


def history_due(due_at: datetime | None) -> RowChange:
    """The time at which history is read again even without a push."""
    return RowChange("history_due_at = {0}", (due_at,))


def history_anchor(history_id: int) -> RowChange:
    """The Gmail cursor from which the next reconciliation reads again."""
    return RowChange("history_anchor = {0}", (history_id,))


def cursor_refusals(refusals: int) -> RowChange:
    """The number of times that the Gmail cursor was refused in a row."""
    return RowChange("cursor_refusals = {0}", (refusals,))


def caught_up(at: datetime) -> RowChange:
    """The time up to which every change is committed."""
    return RowChange("caught_up_at = {0}", (at,))


def listing_refusals(refusals: int) -> RowChange:
    """The number of complete rounds in a row that replaced a refused listing of changes."""
    return RowChange("listing_refusals = {0}", (refusals,))


def resync(progress: str | None, due_at: datetime | None) -> RowChange:
    """The progress of a reconciliation by time as JSON, and when a worker continues it even without an item."""
    return RowChange("resync = {0}, resync_due_at = {1}", (progress, due_at))


def not_throttled() -> RowChange:
    """An attempt was not throttled."""
    return RowChange("throttles = 0", ())


def reconciled() -> RowChange:
    """The mailbox was reconciled completely, now."""
    return RowChange("last_reconciled_at = now()", ())
