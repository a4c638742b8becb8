"""How far a Gmail cursor may move: pure, no I/O.

Gmail's history lags. An answer can name a newer history id without the records that led to the id, and a later answer
has them. So "the mailbox is at N" is a claim and no proof that all records up to N were read. The cursor moves to a
claimed id only after another read, from the same cursor, that began a settling time after the claim.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

_FIRST = 30
"""The first read after a claim without its record comes after this fraction of the settling time."""


@dataclass(frozen=True)
class HistoryCursor:
    """The cursor of a Gmail mailbox.

    Args:
        history_id: Every record up to this id was read. Each read begins here.
        claim: The id that a read reached, and that a later read has to confirm; None when none is open.
        claimed_at: When the read that reached the claim began.
        due_at: When the next read is due even without a push; None when no claim is open.
    """

    history_id: int
    claim: int | None = None
    claimed_at: datetime | None = None
    due_at: datetime | None = None


def after_read(
    cursor: HistoryCursor, *, newest_record: int, claimed: int, began_at: datetime, settle: timedelta
) -> HistoryCursor:
    """Return the cursor after a read from `cursor.history_id` to the end of history.

    Args:
        cursor: The cursor before the read.
        newest_record: The id of the newest record that was read; 0 when there was none.
        claimed: The history id of the mailbox that the last page named.
        began_at: When the read began.
        settle: The settling time.
    """
    top = max(newest_record, claimed, cursor.claim or 0, cursor.history_id)
    settled, claim, claimed_at = cursor.history_id, cursor.claim, cursor.claimed_at
    if claim is None or claimed_at is None or began_at - claimed_at >= settle:
        settled, claim, claimed_at = claim or settled, top, began_at
    if top <= settled:
        return HistoryCursor(settled)
    return HistoryCursor(
        settled, claim, claimed_at, _due(claimed_at, began_at, settle, has_records=newest_record >= top)
    )


def _due(claimed_at: datetime, began_at: datetime, settle: timedelta, *, has_records: bool) -> datetime:
    """Read again at the end of the settling time; earlier, in growing steps, when a record is missing by all signs."""
    end = claimed_at + settle
    if has_records:
        return end
    return min(end, began_at + max(settle / _FIRST, 2 * (began_at - claimed_at)))
