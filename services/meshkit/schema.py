"""The schema of a service, and the check that a program makes of it before it serves.

    SCHEMA = Schema("echo", Path(__file__).parent / "migrations")
    await SCHEMA.check(settings.database_url)

The check needs no Alembic: its import takes a third of a program's start, and only `migrate` uses it.
"""

from dataclasses import dataclass
from pathlib import Path

import asyncpg

from services.meshkit.db import DatabaseLimits, driver_url
from services.meshkit.db_errors import store_errors
from services.meshkit.secret import Secret

VERSION_TABLE = "alembic_version"
_LIMITS = DatabaseLimits(connections=1)


class SchemaError(Exception):
    """The database is not at the revision that this program was written for."""


@dataclass(frozen=True)
class Schema:
    """One schema of PostgreSQL and the migrations that make it.

    Args:
        name: The schema's name, a plain identifier.
        directory: Holds `versions/`, whose files are called `<revision>_<subject>.py` in the order of the history.
    """

    name: str
    directory: Path

    @property
    def head(self) -> str:
        """The last revision that this program knows; empty without any."""
        return max(self._revisions(), default="")

    def _revisions(self) -> set[str]:
        files = (self.directory / "versions").glob("[0-9]*_*.py")
        return {file.name.partition("_")[0] for file in files}

    def check_known(self, current: str) -> None:
        """Refuse a database that a later release has migrated, as after a rollback.

        Args:
            current: The revision of the database; empty before the first.

        Raises:
            SchemaError: No migration of this program has made it.
        """
        if current and current not in self._revisions():
            msg = (
                f"schema {self.name} is at {current}, which this release does not know; its last one is {self.head}. "
                "A later release has migrated the database: start that release, let it go back by "
                f"`migrate --down-to {self.head}`, or restore a backup from before it."
            )
            raise SchemaError(msg)

    async def check(self, url: Secret) -> None:
        """Make sure that the database is where this program expects it: called at start, before anything is served.

        Args:
            url: The database, as a role that may read the schema.

        Raises:
            SchemaError: It is not.
            StoreUnavailable: The database is away.
        """
        current = await self._current(url)
        self.check_known(current)
        if current != self.head:
            msg = f"schema {self.name} is at {current or 'nothing'}, this program needs {self.head}: run migrate"
            raise SchemaError(msg)

    async def _current(self, url: Secret) -> str:
        with store_errors():
            connection = await asyncpg.connect(
                driver_url(url),
                timeout=_LIMITS.wait_seconds,
                command_timeout=_LIMITS.statement_seconds,
                server_settings=_LIMITS.server_settings(f"{self.name} check"),
            )
            try:
                table = f'"{self.name}".{VERSION_TABLE}'
                if await connection.fetchval("SELECT to_regclass($1)", table) is None:
                    return ""
                return str(await connection.fetchval(f"SELECT version_num FROM {table}") or "")  # noqa: S608 - our own constants
            finally:
                connection.terminate()
