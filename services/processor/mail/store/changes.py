"""Everything that a commit writes about messages and their threads, in one statement before the events."""

from collections.abc import Iterable
from datetime import datetime

from services.meshkit import db
from services.processor.mail.state import MessageState
from services.processor.mail.store import messages, threads
from services.processor.mail.store.threads import ThreadAdditions

_WRITE = f"""
    WITH touched AS (
        UPDATE processor.mailboxes SET last_event_at = $24 WHERE tenant_id = $1
    ), {threads.JOIN}
    {messages.SAVE}
"""  # noqa: S608 - constants


async def write(
    connection: db.Connection, tenant_id: str, states: Iterable[MessageState], additions: ThreadAdditions, at: datetime
) -> None:
    """Write the states of messages, each message once, and the additions to their threads.

    Args:
        connection: A connection in a transaction that has locked the tenant's mailbox.
        tenant_id: The tenant's UUID.
        states: The states.
        additions: The additions; stored facts stay.
        at: The time of the mailbox's newest event.
    """
    columns = [*messages.save_columns(states), *threads.join_columns(additions.memberships, additions.learned)]
    await connection.execute(_WRITE, tenant_id, *columns, at)
