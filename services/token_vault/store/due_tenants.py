"""What falls due about tenants: those to disconnect, those whose account is to be looked at."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.token_vault.store.tenants import ACTIVE, DISCONNECTING, ERROR
from services.token_vault.tables import tenant_tokens, tenants


async def disconnecting(connection: AsyncConnection, now: datetime, begun_before: datetime, limit: int) -> list[str]:
    """Finds tenants to go on disconnecting: released, or begun long enough ago; nobody at work on them."""
    is_ready = sa.or_(tenants.c.released_at.is_not(None), tenants.c.status_changed_at <= begun_before)
    tokens = tenant_tokens.c
    is_free = sa.and_(
        sa.or_(tokens.refresh_until.is_(None), tokens.refresh_until < now),
        sa.or_(tokens.refresh_not_before.is_(None), tokens.refresh_not_before <= now),
    )
    query = (
        sa.select(tenants.c.tenant_id)
        .outerjoin(tenant_tokens, tenants.c.tenant_id == tokens.tenant_id)
        .where(tenants.c.status == DISCONNECTING, is_ready, sa.or_(tokens.tenant_id.is_(None), is_free))
        .order_by(tenants.c.status_changed_at)
        .limit(limit)
    )
    return list((await connection.execute(query)).scalars())


async def claim_probes(connection: AsyncConnection, now: datetime, lease: timedelta, limit: int) -> list[str]:
    """Claims tenants whose provider is to be asked about the account. Unanswered ones come back after the lease."""
    due = (
        sa.select(tenants.c.tenant_id)
        .where(tenants.c.probe_at <= now, tenants.c.status.in_((ACTIVE, ERROR)))
        .order_by(tenants.c.probe_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = tenants.update().where(tenants.c.tenant_id.in_(due)).values(probe_at=now + lease)
    return list((await connection.execute(statement.returning(tenants.c.tenant_id))).scalars())


async def schedule_probe(connection: AsyncConnection, tenant_id: str, at: datetime | None, failures: int) -> None:
    """Says when to ask about an account again; None for never."""
    await connection.execute(
        tenants.update().where(tenants.c.tenant_id == tenant_id).values(probe_at=at, probe_failures=failures)
    )


async def schedule_probes_of(connection: AsyncConnection, provider: str, at: datetime, again_after: timedelta) -> int:
    """Has all active accounts of a provider looked at, unless each was scheduled a short time ago.

    Returns:
        How many were scheduled.
    """
    recently = sa.exists().where(tenants.c.provider == provider, tenants.c.address_checked_at > at - again_after)
    statement = (
        tenants.update()
        .where(tenants.c.provider == provider, tenants.c.status == ACTIVE, ~recently)
        .values(probe_at=at, address_checked_at=at)
    )
    return (await connection.execute(statement)).rowcount
