"""Each service's own role and schema in PostgreSQL: a service sees its own tables and nothing else."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from stack.files import write_private_json

PASSWORD_BYTES = 24
STATEMENT_SECONDS = 20.0


@dataclass(frozen=True)
class ServiceRole:
    """A service's role in PostgreSQL and the schema that it owns.

    The role owns its schema because the service makes its partitions itself, which takes the owner.

    Attributes:
        role: Login name.
        schema: The only schema that it sees.
    """

    role: str
    schema: str


SERVICE_ROLES = {
    "token_vault": ServiceRole("mailmesh_vault", "vault"),
    "ingest": ServiceRole("mailmesh_ingest", "ingest"),
    "processor": ServiceRole("mailmesh_processor", "processor"),
    "delivery": ServiceRole("mailmesh_delivery", "delivery"),
    "workflows": ServiceRole("mailmesh_workflows", "workflows"),
}


def roles_for(admin_url: str) -> dict[str, ServiceRole]:
    """Returns the services' roles for a database: roles belong to a whole server, which may hold several meshes.

    Args:
        admin_url: The database.
    """
    database = urlsplit(admin_url).path.lstrip("/")
    return {service: ServiceRole(f"{database}_{role.schema}", role.schema) for service, role in SERVICE_ROLES.items()}


def load_passwords(path: Path) -> dict[str, str]:
    """Reads the services' database passwords, made at random where there is none yet.

    Args:
        path: A JSON file, mode 0600. It is written when a password is missing.

    Returns:
        Password by service name.

    Safe to call again: yes.
    """
    passwords: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [service for service in SERVICE_ROLES if service not in passwords]
    if missing:
        passwords |= {service: secrets.token_urlsafe(PASSWORD_BYTES) for service in missing}
        write_private_json(path, passwords)
    return passwords


async def prepare_roles(
    admin_url: str, passwords: dict[str, str], roles: Mapping[str, ServiceRole] = SERVICE_ROLES
) -> None:
    """Makes the services' roles and sets their passwords. Safe to call again: yes.

    Args:
        admin_url: The server, as a role that may create roles.
        passwords: Password by service name.
        roles: Role by service name.
    """
    connection = await asyncpg.connect(admin_url, command_timeout=STATEMENT_SECONDS)
    try:
        for service, password in passwords.items():
            await _prepare_role(connection, roles[service].role, password)
    finally:
        await connection.close()


async def prepare_database(
    admin_url: str,
    services: list[str],
    roles: Mapping[str, ServiceRole] = SERVICE_ROLES,
    *,
    is_ours: bool = True,
) -> None:
    """Makes the schemas of services in a database, each owned by its service and closed to everyone else.

    Args:
        admin_url: The database, as a role that may create schemas in it.
        services: Names of services whose roles exist.
        roles: Role by service name.
        is_ours: Whether the database is ours alone: then it is closed to all roles but the services'.

    Safe to call again: yes.
    """
    connection = await asyncpg.connect(admin_url, command_timeout=STATEMENT_SECONDS)
    try:
        database = await connection.fetchval("SELECT quote_ident(current_database())")
        if is_ours:
            await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
            await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for service in services:
            await _prepare_schema(connection, database, roles[service])
    finally:
        await connection.close()


async def create_database(admin_url: str, name: str, template: str | None = None) -> None:
    """Makes a database, as a copy of another if one is named. Does nothing when it exists."""
    connection = await asyncpg.connect(admin_url, command_timeout=STATEMENT_SECONDS)
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            return
        copied = f' TEMPLATE "{template}" STRATEGY FILE_COPY' if template else ""
        await connection.execute(f'CREATE DATABASE "{name}"{copied}')
    finally:
        await connection.close()


async def copy_database(admin_url: str, name: str, template: str, service: ServiceRole) -> None:
    """Copies a prepared database of one service, and closes the copy to all roles but the service's.

    Everything happens on one connection to another database, because the first connection to a new one is slow.

    Args:
        admin_url: Another database of the server, as a role that may create databases.
        name: The copy.
        template: A database that `prepare_database` has prepared, without open connections.
        service: The role and schema in it.
    """
    connection = await asyncpg.connect(admin_url, command_timeout=STATEMENT_SECONDS)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
        await _admit(connection, f'"{name}"', service)
    finally:
        await connection.close()


async def drop_database(admin_url: str, name: str) -> None:
    """Drops a database and closes its connections. Safe to call again: yes."""
    connection = await asyncpg.connect(admin_url, command_timeout=STATEMENT_SECONDS)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()


def with_role(url: str, role: str, password: str) -> str:
    """Returns the same database's address for another role."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password, safe='')}@{place}"))


def with_database(url: str, database: str) -> str:
    """Returns the address of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


async def _prepare_role(connection: asyncpg.Connection, role: str, password: str) -> None:
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        await connection.execute(f'CREATE ROLE "{role}" LOGIN')
    # Utility statements take no parameters: the server quotes the literal for us.
    literal = await connection.fetchval("SELECT quote_literal($1::text)", password)
    await connection.execute(f'ALTER ROLE "{role}" LOGIN PASSWORD {literal}')


async def _prepare_schema(connection: asyncpg.Connection, database: str, service: ServiceRole) -> None:
    await _admit(connection, database, service)
    exists = await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", service.schema)
    if exists:
        return
    # Membership is needed to give a schema away where the administrator is no superuser.
    await connection.execute(f'GRANT "{service.role}" TO CURRENT_USER')
    await connection.execute(f'CREATE SCHEMA "{service.schema}" AUTHORIZATION "{service.role}"')


async def _admit(connection: asyncpg.Connection, database: str, service: ServiceRole) -> None:
    await connection.execute(f'GRANT CONNECT ON DATABASE {database} TO "{service.role}"')
    await connection.execute(f'ALTER ROLE "{service.role}" IN DATABASE {database} SET search_path = "{service.schema}"')
