"""The settings of tenants, with the tokens that they have spent on a day."""

from dataclasses import dataclass
from datetime import date

from services.meshkit import db


@dataclass(frozen=True)
class TenantModel:
    """A tenant's settings and its tokens.

    Args:
        is_enabled: Whether its texts may be sent to the model.
        may_leave_machine: Whether they may be sent to another machine.
        tokens: The tokens of the day, with those that are reserved.
    """

    is_enabled: bool = False
    may_leave_machine: bool = False
    tokens: int = 0


async def read(connection: db.Connection, tenant_id: str, day: date) -> TenantModel:
    """Read a tenant's settings, and its tokens of a day. A tenant without a row has everything off."""
    row = await connection.fetchrow(
        """
        SELECT is_enabled, may_leave_machine, CASE WHEN day = $2 THEN tokens ELSE 0 END AS tokens
        FROM processor.model_settings WHERE tenant_id = $1
        """,
        tenant_id,
        day,
    )
    return TenantModel() if row is None else TenantModel(**row)


async def save(
    connection: db.Connection, tenant_id: str, day: date, *, is_enabled: bool, may_leave_machine: bool
) -> None:
    """Store a tenant's settings. Its tokens stay."""
    await connection.execute(
        """
        INSERT INTO processor.model_settings (tenant_id, is_enabled, may_leave_machine, day, tokens)
        VALUES ($1, $3, $4, $2, 0) ON CONFLICT (tenant_id) DO UPDATE
        SET is_enabled = excluded.is_enabled, may_leave_machine = excluded.may_leave_machine
        """,
        tenant_id,
        day,
        is_enabled,
        may_leave_machine,
    )


async def reserve(
    connection: db.Connection, tenant_id: str, day: date, tokens: int, most: int, *, is_outside: bool
) -> bool:
    """Reserve tokens of a day, if the settings allow the call and so many are left; return whether they are."""
    status = await connection.execute(
        """
        UPDATE processor.model_settings SET day = $2, tokens = CASE WHEN day = $2 THEN tokens ELSE 0 END + $3
        WHERE tenant_id = $1 AND is_enabled AND (may_leave_machine OR NOT $5)
            AND CASE WHEN day = $2 THEN tokens ELSE 0 END + $3 <= $4
        """,
        tenant_id,
        day,
        tokens,
        most,
        is_outside,
    )
    return db.affected(status) == 1


async def settle(connection: db.Connection, tenant_id: str, day: date, reserved: int, spent: int) -> None:
    """Replace a reservation by the tokens that were spent, unless another day has begun."""
    await connection.execute(
        """
        UPDATE processor.model_settings SET tokens = greatest(0, tokens - $3 + $4) WHERE tenant_id = $1 AND day = $2
        """,
        tenant_id,
        day,
        reserved,
        spent,
    )
