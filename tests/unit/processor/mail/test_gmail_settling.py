"""How far a Gmail cursor moves: never past a claim that no later read has confirmed."""

from datetime import UTC, datetime, timedelta

from services.processor.mail.gmail_settling import HistoryCursor, after_read

START = datetime(2026, 11, 27, 12, tzinfo=UTC)
SETTLE = timedelta(seconds=120)


def read(cursor: HistoryCursor, seconds: float, *, newest: int = 0, claimed: int = 0) -> HistoryCursor:
    began_at = START + timedelta(seconds=seconds)
    return after_read(cursor, newest_record=newest, claimed=claimed, began_at=began_at, settle=SETTLE)


def test_a_claim_without_its_record_leaves_the_cursor_until_a_read_after_the_settling_time() -> None:
    cursor = read(HistoryCursor(10), 0, claimed=20)
    soon = read(cursor, 5, claimed=20)
    settled = read(soon, 120, claimed=20)

    assert (10, 20, 10, 20) == (cursor.history_id, cursor.claim, soon.history_id, soon.claim)
    assert HistoryCursor(20) == settled


def test_a_record_that_was_read_does_not_move_the_cursor_either_because_an_older_one_may_follow() -> None:
    cursor = read(HistoryCursor(10), 0, newest=20, claimed=20)

    assert (10, 20) == (cursor.history_id, cursor.claim)
    assert START + SETTLE == cursor.due_at


def test_reads_without_the_record_come_soon_and_then_ever_later_and_end() -> None:
    cursor, at, reads = read(HistoryCursor(10), 0, claimed=20), 0.0, [0.0]
    while cursor.due_at is not None:
        at = (cursor.due_at - START).total_seconds()
        cursor = read(cursor, at, claimed=20)
        reads.append(at)

    assert [0.0, 4.0, 12.0, 36.0, 108.0, 120.0] == reads
    assert HistoryCursor(20) == cursor


def test_a_busy_mailbox_moves_its_cursor_once_in_each_settling_time() -> None:
    cursor, kept = HistoryCursor(0), []
    for second in range(1, 400):
        cursor = read(cursor, second, newest=second, claimed=second)
        kept.append(second - cursor.history_id)

    assert 2 * 120 >= max(kept)
    assert cursor.history_id > 0


def test_a_quiet_mailbox_has_no_read_due() -> None:
    assert HistoryCursor(10) == read(HistoryCursor(10), 0, claimed=10)
    assert HistoryCursor(10) == read(HistoryCursor(10), 0)


def test_a_cursor_never_moves_backwards() -> None:
    assert HistoryCursor(10) == read(HistoryCursor(10), 0, newest=7, claimed=8)
