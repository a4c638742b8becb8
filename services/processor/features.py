"""End a process of this release when the stored data begins to need a later one.

At its start a process refuses a schema that it does not know. A rolling upgrade migrates the schema while processes of
the former release run, and they may go on until someone begins to use what they do not know.
"""

import asyncio
from collections.abc import Collection

from services.meshkit import db
from services.meshkit.errors import Conflict, StoreUnavailable
from services.meshkit.schema import SchemaError
from services.processor.stream.store import features

WATCH_SECONDS = 2.5
"""The interval of the look-ups. A feature is noted at least twice as long before anything depends on it."""


class FeatureWatch:
    """Watches the features in use.

    Args:
        pool: Connections to PostgreSQL.
        known: The features that this release knows.
        watch_seconds: The interval.
    """

    def __init__(
        self, pool: db.Pool, known: Collection[str] = features.KNOWN, watch_seconds: float = WATCH_SECONDS
    ) -> None:
        self._pool = pool
        self._known = known
        self._watch_seconds = watch_seconds

    async def check(self) -> None:
        """Make sure that this release knows each feature in use.

        Raises:
            SchemaError: It does not, so this process must end.
            StoreUnavailable: PostgreSQL cannot be reached.
            Conflict: The table's lock was not free in time, as while an operator maintains it.
        """
        async with db.connection(self._pool) as connection:
            unknown = await features.unknown(connection, self._known)
        if unknown:
            msg = (
                f"The database needs {', '.join(unknown)}, which this release of Processor does not know: "
                "start a process of the release that the others have."
            )
            raise SchemaError(msg)

    async def run(self) -> None:
        """Check until cancelled. While PostgreSQL cannot be reached, this process stores and serves nothing.

        Raises:
            SchemaError: As for `check`.
        """
        while True:
            await asyncio.sleep(self._watch_seconds)
            try:
                await self.check()
            except StoreUnavailable:
                continue  # health reports it
            except Conflict:
                continue  # nothing can be noted meanwhile
