"""Remembers in the database that the migrations on disk have run, so that a warm start need not run them again.

The mark holds a digest of all migration files and the revisions that the schemas were at. It lives in the database, so
a database that is restored or exchanged brings its own; and a schema that was moved by hand no longer fits it.
"""

import hashlib
from pathlib import Path

import asyncpg

import services
from stack.programs.roles import SERVICE_ROLES, STATEMENT_SECONDS

PREFIX = "mailmesh migrations "


async def is_migrated(admin_url: str) -> bool:
    """Says whether every migration that is on disk has run in the database, and nothing was moved since.

    Args:
        admin_url: The database, as a role that may read all schemas.
    """
    connection = await asyncpg.connect(admin_url, command_timeout=STATEMENT_SECONDS)
    try:
        found = await connection.fetchval(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
        )
        return found is not None and found == await _mark(connection)
    except asyncpg.InsufficientPrivilegeError:
        return False
    finally:
        await connection.close()


async def mark_migrated(admin_url: str) -> None:
    """Marks the database after all migrations have run. Safe to call again: yes."""
    connection = await asyncpg.connect(admin_url, command_timeout=STATEMENT_SECONDS)
    try:
        mark = await _mark(connection)
        statement = "SELECT format('COMMENT ON DATABASE %I IS %L', current_database(), $1::text)"
        await connection.execute(await connection.fetchval(statement, mark))
    except asyncpg.InsufficientPrivilegeError:
        # A role that does not own the database cannot mark it: the migrations then check at each start.
        return
    finally:
        await connection.close()


async def _mark(connection: asyncpg.Connection) -> str:
    digest = hashlib.sha256(migration_files())
    for role in SERVICE_ROLES.values():
        digest.update(f"{role.schema}={await _revision(connection, role.schema)};".encode())
    return PREFIX + digest.hexdigest()


async def _revision(connection: asyncpg.Connection, schema: str) -> str:
    table = f'"{schema}".alembic_version'
    if await connection.fetchval("SELECT to_regclass($1)", table) is None:
        return ""
    return str(await connection.fetchval(f"SELECT version_num FROM {table}"))  # noqa: S608 - our own schemas' names


def migration_files() -> bytes:
    """Returns the names and contents of all migrations on disk, in a fixed order."""
    root = Path(services.__file__).parent
    files = sorted(root.glob("*/migrations/versions/*.py"))
    return b"\0".join(part for file in files for part in (str(file.relative_to(root)).encode(), file.read_bytes()))
