"""Authorization flows: started by a key, opened by one browser, completed once.

The table holds ticket, state and the browser's secret as SHA-256 digests only.
"""

from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

from services.meshkit.db import Connection, affected

STARTED = "started"
OPENED = "opened"
EXCHANGING = "exchanging"
CONNECTED = "connected"
FAILED = "failed"


@dataclass(frozen=True)
class FlowRow:
    """One attempt to connect an account, or, with a `directory_id`, an organisation."""

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
    abilities: tuple[str, ...]
    directory_id: str = ""
    allowed_addresses: tuple[str, ...] = ()
    allows_all: bool = False


_FIELDS = tuple(field.name for field in fields(FlowRow))
_INSERT = """
INSERT INTO vault.authorization_flows
  (flow_id, provider, tenant_id, login_hint, display_name, started_by, step, ticket_digest, browser_digest,
   state_digest, kept, reason, detail, created_at, expires_at, correlation_id, abilities,
   directory_id, allowed_addresses, allows_all)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
"""
_SELECT = """
SELECT flow_id::text AS flow_id, provider, tenant_id::text AS tenant_id, login_hint, display_name, started_by, step,
  ticket_digest, browser_digest, state_digest, kept, reason, detail, created_at, expires_at, correlation_id, abilities,
  directory_id, allowed_addresses, allows_all
FROM vault.authorization_flows
"""
_GET = f"{_SELECT} WHERE flow_id = $1"
_OF_TICKET = f"{_SELECT} WHERE ticket_digest = $1"
_OF_STATE = f"{_SELECT} WHERE state_digest = $1"
_OPEN = """
UPDATE vault.authorization_flows
SET step = 'opened', expires_at = CASE WHEN step = 'started' THEN $3 ELSE expires_at END, browser_digest = $4,
  state_digest = $5, kept = $6
WHERE flow_id = $1 AND expires_at > $2 AND (step = 'started' OR (step = 'opened' AND browser_digest = $4))
"""
_BEGIN_EXCHANGE = """
UPDATE vault.authorization_flows SET step = 'exchanging', kept = NULL
WHERE flow_id = $1 AND step = 'opened' AND expires_at > $2
"""
_END = """
UPDATE vault.authorization_flows
SET step = $2, reason = $3, detail = $4, kept = NULL, tenant_id = coalesce($5, tenant_id)
WHERE flow_id = $1 AND step <> 'connected'
"""
_PRUNE = "DELETE FROM vault.authorization_flows WHERE created_at < $1"


async def insert_flow(connection: Connection, flow: FlowRow) -> None:
    """Add a started flow."""
    await connection.execute(_INSERT, *(getattr(flow, name) for name in _FIELDS))


async def get_flow(connection: Connection, flow_id: str) -> FlowRow | None:
    """Read a flow by its id."""
    return await _one(connection, _GET, flow_id)


async def flow_of_ticket(connection: Connection, ticket_digest: bytes) -> FlowRow | None:
    """Find a flow by its ticket."""
    return await _one(connection, _OF_TICKET, ticket_digest)


async def flow_of_state(connection: Connection, state_digest: bytes) -> FlowRow | None:
    """Find a flow by its state."""
    return await _one(connection, _OF_STATE, state_digest)


async def open_flow(
    connection: Connection,
    flow_id: str,
    now: datetime,
    expires_at: datetime,
    *,
    browser_digest: bytes,
    state_digest: bytes,
    kept: bytes,
) -> bool:
    """Spend the ticket: bind the flow to a browser, with a state that expires by itself.

    The same browser may do it again: the new state replaces the old one, and the end stays as it was.

    Returns:
        False when another browser has spent the ticket, or it has expired.
    """
    done = await connection.execute(_OPEN, flow_id, now, expires_at, browser_digest, state_digest, kept)
    return affected(done) == 1


async def begin_exchange(connection: Connection, flow_id: str, now: datetime) -> bool:
    """Spend the state: the caller that gets True is the only one to exchange the code.

    Returns:
        False when the state was spent before or has expired.
    """
    return affected(await connection.execute(_BEGIN_EXCHANGE, flow_id, now)) == 1


async def end_flow(
    connection: Connection, flow_id: str, *, step: str, reason: str = "", detail: str = "", tenant_id: str = ""
) -> None:
    """Record the end of a flow. A connected flow stays connected."""
    await connection.execute(_END, flow_id, step, reason, detail, tenant_id or None)


async def prune_flows(connection: Connection, now: datetime, keep: timedelta) -> int:
    """Delete flows that started longer ago."""
    return affected(await connection.execute(_PRUNE, now - keep))


async def _one(connection: Connection, statement: str, value: object) -> FlowRow | None:
    found = await connection.fetchrow(statement, value)
    return None if found is None else FlowRow(**found)
