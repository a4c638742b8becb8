"""Authorization flows: started by a key, opened by one browser, completed once.

Ticket, state and the browser's secret are here as SHA-256 digests only.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.token_vault.tables import authorization_flows

STARTED = "started"
OPENED = "opened"
EXCHANGING = "exchanging"
CONNECTED = "connected"
FAILED = "failed"


@dataclass(frozen=True)
class FlowRow:
    """One attempt to connect an account."""

    flow_id: str
    provider: str
    tenant_id: str | None
    login_hint: str
    display_name: str
    started_by: str
    step: str
    ticket_digest: bytes = field(repr=False)
    browser_digest: bytes | None = field(repr=False)
    state_digest: bytes | None = field(repr=False)
    kept: bytes | None = field(repr=False)
    reason: str
    detail: str
    created_at: datetime
    expires_at: datetime
    correlation_id: str


async def insert_flow(connection: AsyncConnection, flow: FlowRow) -> None:
    """Adds a flow that was started."""
    values = {column.name: getattr(flow, column.name) for column in authorization_flows.columns}
    await connection.execute(authorization_flows.insert().values(**values))


async def get_flow(connection: AsyncConnection, flow_id: str) -> FlowRow | None:
    """Reads a flow by its id."""
    return await _one(connection, authorization_flows.c.flow_id == flow_id)


async def flow_of_ticket(connection: AsyncConnection, ticket_digest: bytes) -> FlowRow | None:
    """Finds a flow by its ticket."""
    return await _one(connection, authorization_flows.c.ticket_digest == ticket_digest)


async def flow_of_state(connection: AsyncConnection, state_digest: bytes) -> FlowRow | None:
    """Finds a flow by its state."""
    return await _one(connection, authorization_flows.c.state_digest == state_digest)


async def open_flow(
    connection: AsyncConnection,
    flow_id: str,
    now: datetime,
    expires_at: datetime,
    *,
    browser_digest: bytes,
    state_digest: bytes,
    kept: bytes,
) -> bool:
    """Spends the ticket: binds the flow to a browser, with a state that ends by itself.

    Returns:
        False when it was spent before or is over.
    """
    return await _step(
        connection,
        flow_id,
        STARTED,
        now,
        step=OPENED,
        expires_at=expires_at,
        browser_digest=browser_digest,
        state_digest=state_digest,
        kept=kept,
    )


async def begin_exchange(connection: AsyncConnection, flow_id: str, now: datetime) -> bool:
    """Spends the state: whoever gets True is the only one who exchanges the code.

    Returns:
        False when it was spent before or is over.
    """
    return await _step(connection, flow_id, OPENED, now, step=EXCHANGING, kept=None)


async def end_flow(
    connection: AsyncConnection, flow_id: str, *, step: str, reason: str = "", detail: str = "", tenant_id: str = ""
) -> None:
    """Writes down how a flow ended. One that was connected stays connected."""
    columns = authorization_flows.c
    values = {"step": step, "reason": reason, "detail": detail, "kept": None}
    if tenant_id:
        values["tenant_id"] = tenant_id
    await connection.execute(
        authorization_flows.update().where(columns.flow_id == flow_id, columns.step != CONNECTED).values(**values)
    )


async def prune_flows(connection: AsyncConnection, now: datetime, keep: timedelta) -> int:
    """Deletes flows that began longer ago."""
    done = await connection.execute(authorization_flows.delete().where(authorization_flows.c.created_at < now - keep))
    return done.rowcount


async def _one(connection: AsyncConnection, condition: sa.ColumnElement[bool]) -> FlowRow | None:
    found = (await connection.execute(sa.select(authorization_flows).where(condition))).mappings().first()
    return None if found is None else FlowRow(**found)


async def _step(connection: AsyncConnection, flow_id: str, expected: str, now: datetime, **values: object) -> bool:
    columns = authorization_flows.c
    done = await connection.execute(
        authorization_flows.update()
        .where(columns.flow_id == flow_id, columns.step == expected, columns.expires_at > now)
        .values(**values)
    )
    return done.rowcount == 1
