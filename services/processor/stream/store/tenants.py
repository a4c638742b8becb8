"""The statements over tenants as TokenVault last reported them, and over the duty of following its log."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db

CHANGED = "processor_tenants"
"""The NOTIFY channel of changed tenants; the payload is the number of the change."""
_EVENTS_AT_ONCE = 2000
"""The number of events of calendars that one transaction deletes."""
_FORGET_FEW = """
    DELETE FROM processor.calendars WHERE tenant_id = $1 AND $2::bigint >= (SELECT count(*) FROM (
        SELECT FROM processor.calendar_events JOIN processor.calendars USING (calendar_id)
        WHERE tenant_id = $1 LIMIT $2::bigint + 1) AS rows)
"""


async def take_duty(connection: db.Connection, name: str, holder: str, lasts: timedelta) -> bool:
    """Take or keep a duty that one process has at a time. Return whether this process has it until `lasts` from now."""
    row = await connection.fetchrow(
        """
        INSERT INTO processor.duties AS d (name, holder, expires_at) VALUES ($1, $2, now() + $3)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
        WHERE d.holder = excluded.holder OR d.expires_at < now()
        RETURNING name
        """,
        name,
        holder,
        lasts,
    )
    return row is not None


async def cursor(connection: db.Connection, name: str, *, lock: bool = False) -> str:
    """Read the cursor of a followed log; empty before the first time."""
    found = await connection.fetchval(
        f"SELECT cursor FROM processor.followed WHERE name = $1{' FOR UPDATE' if lock else ''}",  # noqa: S608 - constants
        name,
    )
    return str(found or "")


async def set_cursor(connection: db.Connection, name: str, cursor: str) -> None:
    """Store the cursor of a followed log."""
    await connection.execute(
        """
        INSERT INTO processor.followed (name, cursor) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, updated_at = now()
        """,
        name,
        cursor,
    )


async def status(connection: db.Connection, tenant_id: str) -> str:
    """Read a tenant's status; empty when the tenant is unknown."""
    return str(await connection.fetchval("SELECT status FROM processor.tenants WHERE tenant_id = $1", tenant_id) or "")


async def is_disconnected(connection: db.Connection, tenant_id: str) -> bool:
    """Return whether a tenant is disconnected; a connected one stays so until the transaction ends."""
    status = await connection.fetchval("SELECT status FROM processor.tenants WHERE tenant_id = $1 FOR SHARE", tenant_id)
    return bool(status == "disconnected")


async def lock(connection: db.Connection, tenant_id: str) -> None:
    """Wait for others that lock a tenant, and lock it until the transaction ends: choices that exclude each other."""
    await connection.execute("SELECT FROM processor.tenants WHERE tenant_id = $1 FOR UPDATE", tenant_id)


async def account_of(connection: db.Connection, tenant_id: str) -> tuple[str, str]:
    """Read the provider's ids of a tenant's organisation and user; empty when the tenant is unknown."""
    row = await connection.fetchrow(
        "SELECT external_tenant_id, user_id FROM processor.tenants WHERE tenant_id = $1", tenant_id
    )
    return ("", "") if row is None else (row["external_tenant_id"], row["user_id"])


async def granted(connection: db.Connection, tenant_id: str) -> tuple[str, Sequence[str]] | None:
    """Read the provider and the granted abilities of a connected tenant; None when it is unknown or disconnected."""
    row = await connection.fetchrow(
        "SELECT provider, granted_abilities FROM processor.tenants WHERE tenant_id = $1 AND status <> 'disconnected'",
        tenant_id,
    )
    return None if row is None else (row["provider"], row["granted_abilities"])


async def save(connection: db.Connection, tenant: tenant_pb2.Tenant, status: str, changed_at: datetime) -> None:
    """Store a tenant; the change number tells workers that it has changed."""
    await connection.execute(
        f"""
        WITH saved AS (INSERT INTO processor.tenants
            (tenant_id, provider, external_tenant_id, user_id, status, change_number, changed_at, granted_abilities)
        VALUES ($1, $2, $3, $4, $5, nextval('processor.tenant_change_numbers'), $6, $7)
        ON CONFLICT (tenant_id) DO UPDATE SET
            provider = excluded.provider, external_tenant_id = excluded.external_tenant_id,
            user_id = excluded.user_id, status = excluded.status, change_number = excluded.change_number,
            changed_at = excluded.changed_at, granted_abilities = excluded.granted_abilities
        RETURNING change_number)
        SELECT pg_notify('{CHANGED}', change_number::text) FROM saved
        """,  # noqa: S608 - the name of the channel is a constant
        tenant.tenant_id,
        tenant.provider,
        tenant.external_tenant_id,
        tenant.user_id,
        status,
        changed_at,
        list(tenant.granted_abilities),
    )


_OF_CONVERSATIONS = ("conversation_links", "conversation_messages", "conversation_timers", "conversations")


async def forget_mailbox(connection: db.Connection, tenant_id: str) -> None:
    """Delete the lookups, calendars, conversations, settings of mail and search index of a disconnected tenant.

    Cursors and messages stay for a reconnect. The deletion of a calendar waits for a worker that is committing its
    events, and takes those events too. A worker that commits later finds the calendar gone and commits nothing.
    Calendars with many events leave sight at once, as unfollowed ones, and are deleted in parts.
    """
    await connection.execute("DELETE FROM processor.lookups WHERE tenant_id = $1", tenant_id)
    await connection.execute(_FORGET_FEW, tenant_id, _EVENTS_AT_ONCE)
    await connection.execute(
        "UPDATE processor.calendars SET state = 1, phase = 3, follows = follows + 1, is_listed = false, due_at = NULL,"
        " followed_at = NULL, cursor = '', reason = '', detail = '' WHERE tenant_id = $1",
        tenant_id,
    )
    await connection.execute("DELETE FROM processor.calendar_lists WHERE tenant_id = $1", tenant_id)
    await connection.execute("DELETE FROM processor.processed_marks WHERE tenant_id = $1", tenant_id)
    await connection.execute("DELETE FROM processor.classification_settings WHERE tenant_id = $1", tenant_id)
    await connection.execute(
        "UPDATE processor.search_settings SET is_enabled = false, is_clearing = true, key = '', cursor = '',"
        " position = 0 WHERE tenant_id = $1",
        tenant_id,
    )
    # The settings come first: who puts mail into conversations holds their row.
    for table in ("conversation_settings", *_OF_CONVERSATIONS):
        await connection.execute(f"DELETE FROM processor.{table} WHERE tenant_id = $1", tenant_id)  # noqa: S608
