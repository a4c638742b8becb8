"""Directories: the organisations whose administrators consented for the app."""

from dataclasses import dataclass, fields
from datetime import datetime

from services.meshkit.db import Connection


@dataclass(frozen=True)
class DirectoryRow:
    """An organisation that has consented.

    Args:
        provider: The provider.
        directory_id: Its id at the provider, in lower case.
        allowed_addresses: The mailboxes that may become tenants, in lower case, sorted.
        allows_all: Whether every mailbox may.
        listed_at: The time at which the caller gave this allow-list.
        roles: The app permissions of the first token after the consent, sorted.
        consented_at: The time of the last consent.
        administrator: The address of the administrator as whom the users are read, at Google; else empty.
    """

    provider: str
    directory_id: str
    allowed_addresses: tuple[str, ...]
    allows_all: bool
    listed_at: datetime
    roles: tuple[str, ...]
    consented_at: datetime
    administrator: str = ""

    def allows(self, address: str) -> bool:
        """Tell whether a mailbox may become a tenant."""
        return self.allows_all or address.lower() in self.allowed_addresses


_NAMES = tuple(field.name for field in fields(DirectoryRow))
_COLUMNS = ", ".join(_NAMES)
_PUT = f"""
INSERT INTO vault.directories ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (provider, directory_id) DO UPDATE
SET roles = excluded.roles, consented_at = excluded.consented_at, administrator = excluded.administrator
"""  # noqa: S608 - constants only
_GET = f"SELECT {_COLUMNS} FROM vault.directories WHERE provider = $1 AND directory_id = $2"  # noqa: S608
_PAGE = f"SELECT {_COLUMNS} FROM vault.directories WHERE directory_id > $1 ORDER BY directory_id LIMIT $2"  # noqa: S608
# A consent that was begun before the present list was given keeps that list.
_LIST_OF_CONSENT = """
UPDATE vault.directories SET allowed_addresses = $3, allows_all = $4, listed_at = $5
WHERE provider = $1 AND directory_id = $2 AND listed_at <= $5
"""
_ALLOW = f"""
UPDATE vault.directories SET allowed_addresses = $3, allows_all = $4, listed_at = greatest(listed_at, $5)
WHERE provider = $1 AND directory_id = $2
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants only
_FORGET_ADMINISTRATOR = "UPDATE vault.directories SET administrator = '' WHERE directory_id = $1 AND administrator = $2"
_FORGET = (
    _FORGET_ADMINISTRATOR,
    *(
        f"""
        UPDATE vault.{table} SET allowed_addresses = array_remove(allowed_addresses, $2)
        WHERE directory_id = $1 AND allowed_addresses @> ARRAY[$2]
        """  # noqa: S608 - constants only
        for table in ("directories", "authorization_flows")
    ),
)


async def put(connection: Connection, row: DirectoryRow) -> None:
    """Store a consent, in the place of the one before. An allow-list that was given after `row.listed_at` stays."""
    await connection.execute(_PUT, *(getattr(row, name) for name in _NAMES))
    listed = (row.provider, row.directory_id, row.allowed_addresses, row.allows_all, row.listed_at)
    await connection.execute(_LIST_OF_CONSENT, *listed)


async def get(connection: Connection, provider: str, directory_id: str, *, lock: bool = False) -> DirectoryRow | None:
    """Read an organisation.

    Args:
        connection: A connection to the database.
        provider: The provider.
        directory_id: In lower case.
        lock: Keeps others from changing it until the transaction ends.
    """
    found = await connection.fetchrow(f"{_GET} FOR SHARE" if lock else _GET, provider, directory_id)
    return None if found is None else DirectoryRow(**found)


async def page(connection: Connection, after: str, limit: int) -> list[DirectoryRow]:
    """Read organisations by their id, behind one."""
    return [DirectoryRow(**found) for found in await connection.fetch(_PAGE, after, limit)]


async def allow(
    connection: Connection,
    provider: str,
    directory_id: str,
    addresses: tuple[str, ...],
    now: datetime,
    *,
    allows_all: bool,
) -> DirectoryRow | None:
    """Replace the allow-list; return None for an unknown organisation."""
    found = await connection.fetchrow(_ALLOW, provider, directory_id, addresses, allows_all, now)
    return None if found is None else DirectoryRow(**found)


async def forget_address(connection: Connection, directory_id: str, address: str) -> None:
    """Take an address out of an organisation's allow-lists, those of open consents too. Safe to call again: yes.

    An organisation whose administrator it is needs another one before its users can be listed.
    """
    for statement in _FORGET:
        await connection.execute(statement, directory_id, address.lower())
