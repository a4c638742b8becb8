"""The app's own credentials at the providers: client certificates at Microsoft, keys of a service account at Google.

Each private key is sealed by a data key of its own, which a key-encryption key wraps.
"""

from dataclasses import dataclass, field, fields
from datetime import datetime

import asyncpg

from services.meshkit.db import Connection


@dataclass(frozen=True)
class AppCredentialRow:
    """A credential of the app.

    Args:
        credential_id: Our id, a UUID.
        provider: The provider.
        key_name: The certificate's thumbprint at Microsoft, the key's id at Google.
        account: The certificate's subject at Microsoft, the service account's address at Google.
        client_id: The application's id at Microsoft, the service account's numeric id at Google.
        certificate: The certificate as PEM; empty at Google.
        expires_at: The certificate's end; None where the key has none.
        created_at: The time at which it was added.
        data_key_id: The id of the data key that seals the private key.
        key_encryption_key_id: The key that wraps the data key.
        wrapped: The data key, wrapped.
        private_key: The private key, sealed.
    """

    credential_id: str
    provider: str
    key_name: str
    account: str
    client_id: str
    certificate: str
    expires_at: datetime | None
    created_at: datetime
    data_key_id: str
    key_encryption_key_id: str
    wrapped: bytes = field(repr=False)
    private_key: bytes = field(repr=False)


_NAMES = tuple(one.name for one in fields(AppCredentialRow))
_SELECTED = ", ".join(
    f"{name}::text AS {name}" if name in {"credential_id", "data_key_id"} else name for name in _NAMES
)
_INSERT = f"""
INSERT INTO vault.app_credentials ({", ".join(_NAMES)})
VALUES ({", ".join(f"${at}" for at in range(1, len(_NAMES) + 1))})
"""  # noqa: S608 - constants only
# Additions wait for each other, so that none exceeds the limit beside another.
_LOCK = "LOCK TABLE vault.app_credentials IN SHARE ROW EXCLUSIVE MODE"
_EVERY = f"SELECT {_SELECTED} FROM vault.app_credentials ORDER BY provider, credential_id DESC"  # noqa: S608
_ENDING = f"""
SELECT {_SELECTED} FROM vault.app_credentials WHERE expires_at BETWEEN $1 AND $2 ORDER BY expires_at
"""  # noqa: S608 - constants only
_LAST_END = "SELECT max(expires_at) FROM vault.app_credentials"
_DELETE = f"DELETE FROM vault.app_credentials WHERE credential_id = $1 RETURNING {_SELECTED}"  # noqa: S608


async def lock(connection: Connection) -> None:
    """Let no other transaction add or delete a credential before this one ends."""
    await connection.execute(_LOCK)


async def insert(connection: Connection, row: AppCredentialRow) -> None:
    """Add a credential."""
    await connection.execute(_INSERT, *(getattr(row, name) for name in _NAMES))


async def every(connection: Connection) -> list[AppCredentialRow]:
    """Read all credentials by provider, the newest first. There are few of each."""
    return [_row(found) for found in await connection.fetch(_EVERY)]


async def ending_before(connection: Connection, now: datetime, before: datetime) -> list[AppCredentialRow]:
    """Read the credentials that end between now and a time, the first end first."""
    return [_row(found) for found in await connection.fetch(_ENDING, now, before)]


async def last_end(connection: Connection) -> datetime | None:
    """Return the last end of a certificate; None without any."""
    end: datetime | None = await connection.fetchval(_LAST_END)
    return end


async def delete(connection: Connection, credential_id: str) -> AppCredentialRow | None:
    """Delete a credential, and return it; None for an unknown one."""
    found = await connection.fetchrow(_DELETE, credential_id)
    return None if found is None else _row(found)


def _row(found: asyncpg.Record) -> AppCredentialRow:
    return AppCredentialRow(**found)
