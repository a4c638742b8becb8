"""End the sessions of browsers after the database went back to a backup.

A person may have signed out after the backup, on a computer that others use. The restored store cannot know, so every
person signs in again.
"""

from services.meshkit import db
from services.meshkit.clock import Clock
from services.token_vault.audit import COMMAND
from services.token_vault.store import audit, sessions


async def end_sessions(pool: db.Pool, clock: Clock) -> int:
    """End every session of the backup.

    Run it after the migrations and before a server runs. Safe to call again: yes.

    Args:
        pool: Connections to PostgreSQL.
        clock: The time.

    Returns:
        The number of sessions that ended.

    Raises:
        StoreUnavailable: PostgreSQL cannot be reached.
    """
    async with db.transaction(pool) as connection:
        ended = await sessions.end_all_sessions(connection)
        if ended:
            entry = audit.Entry(COMMAND, "session.end", clock.now(), detail={"session_id": "all"})
            await audit.append(connection, entry)
    return ended
