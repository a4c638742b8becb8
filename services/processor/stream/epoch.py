"""Begin a new epoch of the store: from then on every older cursor is refused.

An ordinary restore does not need this, since cursors detect it. It is for an operator who has changed the stream by
hand, or who wants every consumer to start over.
"""

import secrets

from services.meshkit import db
from services.processor.stream.cursor import EPOCH_BYTES
from services.processor.stream.store.event_log import set_epoch


async def begin_epoch(pool: db.Pool) -> None:
    """Begin a new epoch. Safe to call again: yes, with the same effect on readers each time.

    Args:
        pool: Connections to PostgreSQL.

    Raises:
        StoreUnavailable: PostgreSQL cannot be reached.
    """
    async with db.connection(pool) as connection:
        await set_epoch(connection, secrets.token_bytes(EPOCH_BYTES))
