"""Everything that a commit writes about messages, their threads and their events, in one statement."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache

from services.meshkit import db
from services.processor.mail.state import MessageState
from services.processor.mail.store import messages, threads
from services.processor.mail.store.threads import ThreadAdditions
from services.processor.mailbox.store.mailboxes import FencedError
from services.processor.mailbox.store.row_changes import RowChange
from services.processor.stream.store import event_log
from services.processor.stream.store.event_log import Appended, EventRow, KeyRow

# The first part locks the mailbox's row, on condition that it has the holder's fence, and waits for another transaction
# with the row. Without the fence nothing else is written.
_IS_HELD = "EXISTS (SELECT FROM held)"
_ARGUMENTS = 42
"""The number of the statement's arguments, before those of a change of the mailbox's row."""


@cache
def _statement(also: str) -> str:
    """Return the statement, with further assignments to the mailbox's row, of which there are two texts."""
    assignments = ", ".join(filter(None, ("last_event_at = $24", also)))
    return f"""
        WITH held AS (
            UPDATE processor.mailboxes SET {assignments} WHERE tenant_id = $1 AND fence = $25 RETURNING tenant_id
        ), saved AS (
            {messages.saving(_IS_HELD)}
        ), {threads.joining(_IS_HELD)}, {event_log.appending(_IS_HELD, arguments_before=25)}
        SELECT {event_log.PLACE} FROM held LEFT JOIN head ON true
    """  # noqa: S608 - constants


async def write(
    tenant_id: str,
    fence: int,
    states: Iterable[MessageState],
    additions: ThreadAdditions,
    at: datetime,
    also: RowChange | None,
    connection: db.Connection,
    rows: Sequence[EventRow],
    keys: Sequence[KeyRow],
) -> Appended | None:
    """Write the states of messages, the additions to their threads, and their events.

    Args:
        tenant_id: The tenant's UUID.
        fence: The fence of the lease.
        states: The states, of each message one.
        additions: The additions; stored facts stay.
        at: The time of the mailbox's newest event.
        also: A further change of the mailbox's row.
        connection: A connection. Outside of a transaction, the statement is a transaction of its own.
        rows: The events, as `event_log.append` takes them.
        keys: Their keys.

    Returns:
        The appended events; None when every key was in use.

    Raises:
        FencedError: The fence is no longer ours; nothing is written.
    """
    columns = [*messages.save_columns(states), *threads.join_columns(additions.memberships, additions.learned)]
    arguments = [tenant_id, *columns, at, fence, *event_log.columns_of(rows, keys)]
    statement = _statement("" if also is None else also.assigning(_ARGUMENTS))
    row = await connection.fetchrow(statement, *arguments, *(() if also is None else also.values))
    if row is None:
        raise FencedError
    return event_log.appended_of(row)
