"""The audit log: appending and reading. Nothing else can be done with it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.meshkit.correlation import correlation_id
from services.meshkit.ids import new_id
from services.token_vault.store.tenants import Scope
from services.token_vault.tables import audit_entries

OK = "ok"


@dataclass(frozen=True)
class Entry:
    """One thing that was done or refused.

    Args:
        actor: Who: "mesh:ingest", "key:<id>", "browser:<flow id>", "command", "token-vault".
        action: What: "token.issue", ...
        outcome: "ok" or a reason of the catalogue.
        tenant_id: Whom it concerns; empty for none.
        detail: Further facts. Never a secret.
        occurred_at: When.
    """

    actor: str
    action: str
    occurred_at: datetime
    outcome: str = OK
    tenant_id: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)
    audit_entry_id: str = field(default_factory=new_id)
    correlation_id: str = field(default_factory=correlation_id)


@dataclass(frozen=True)
class EntryFilter:
    """Which entries to list. Empty or None means all."""

    tenant_id: str = ""
    action: str = ""
    occurred_from: datetime | None = None
    occurred_before: datetime | None = None


async def append(connection: AsyncConnection, *entries: Entry) -> None:
    """Appends entries in the transaction of what they tell about."""
    await connection.execute(
        audit_entries.insert(),
        [
            {
                "audit_entry_id": entry.audit_entry_id,
                "occurred_at": entry.occurred_at,
                "actor": entry.actor,
                "action": entry.action,
                "tenant_id": entry.tenant_id or None,
                "outcome": entry.outcome,
                "detail": dict(entry.detail),
                "correlation_id": entry.correlation_id,
            }
            for entry in entries
        ],
    )


_APPEND_GROUP = """
INSERT INTO vault.audit_entries
  (audit_entry_id, occurred_at, actor, action, tenant_id, outcome, detail, correlation_id)
SELECT * FROM unnest(
  $1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::jsonb[], $8::text[])
"""


async def append_group(pool: "asyncpg.Pool[asyncpg.Record]", entries: Sequence[Entry], wait_seconds: float) -> None:
    """Appends many entries by one statement, which is committed when this returns."""
    columns = zip(*(entry_columns(entry) for entry in entries), strict=True)
    async with pool.acquire(timeout=wait_seconds) as connection:
        await connection.execute(_APPEND_GROUP, *(list(column) for column in columns))


async def list_entries(
    connection: AsyncConnection, wanted: EntryFilter, scope: Scope, before: tuple[str, str] | None, limit: int
) -> list[Entry]:
    """Lists entries, newest first.

    Args:
        connection: Where to read.
        wanted: Which.
        scope: What the caller may see; entries without a tenant are for callers without limits.
        before: `occurred_at` in ISO form and id of the last one on the page before.
        limit: The most to return.
    """
    columns = audit_entries.c
    query = sa.select(audit_entries).order_by(columns.occurred_at.desc(), columns.audit_entry_id.desc()).limit(limit)
    for condition in _conditions(wanted, scope, before):
        query = query.where(condition)
    return [_entry(row) for row in await connection.execute(query)]


async def extend(connection: AsyncConnection, months: int) -> int:
    """Makes the partitions of this month and of so many after it, where they are missing."""
    made: int = (
        await connection.execute(sa.text("SELECT vault.extend_audit(:months)"), {"months": months})
    ).scalar_one()
    return made


async def prune(connection: AsyncConnection, days: int) -> int:
    """Drops whole months that ended longer ago; never of the last 90 days."""
    dropped: int = (await connection.execute(sa.text("SELECT vault.prune_audit(:days)"), {"days": days})).scalar_one()
    return dropped


async def count_outcomes(connection: AsyncConnection, action: str, since: datetime) -> tuple[int, int]:
    """Counts the entries of an action since a time: all of them, and those that did not end well."""
    columns = audit_entries.c
    failed = sa.func.count().filter(columns.outcome != OK)
    query = sa.select(sa.func.count(), failed).where(columns.action == action, columns.occurred_at >= since)
    total, bad = (await connection.execute(query)).one()
    return total, bad


def entry_columns(entry: Entry) -> tuple[Any, ...]:
    """An entry's columns in the order of the statements that append groups."""
    return (
        entry.audit_entry_id,
        entry.occurred_at,
        entry.actor,
        entry.action,
        entry.tenant_id or None,
        entry.outcome,
        json.dumps(dict(entry.detail)),
        entry.correlation_id,
    )


def _conditions(wanted: EntryFilter, scope: Scope, before: tuple[str, str] | None) -> "list[sa.ColumnElement[bool]]":
    columns = audit_entries.c
    conditions: list[sa.ColumnElement[bool]] = []
    if scope is not None:
        conditions.append(columns.tenant_id.in_(scope))
    if wanted.tenant_id:
        conditions.append(columns.tenant_id == wanted.tenant_id)
    if wanted.action:
        conditions.append(columns.action == wanted.action)
    if wanted.occurred_from is not None:
        conditions.append(columns.occurred_at >= wanted.occurred_from)
    if wanted.occurred_before is not None:
        conditions.append(columns.occurred_at < wanted.occurred_before)
    if before is not None:
        place = sa.tuple_(columns.occurred_at, columns.audit_entry_id)
        last = sa.tuple_(datetime.fromisoformat(before[0]), sa.literal(before[1], columns.audit_entry_id.type))
        conditions.append(place < last)
    return conditions


def _entry(row: Any) -> Entry:
    return Entry(
        actor=row.actor,
        action=row.action,
        occurred_at=row.occurred_at,
        outcome=row.outcome,
        tenant_id=row.tenant_id or "",
        detail=row.detail,
        audit_entry_id=row.audit_entry_id,
        correlation_id=row.correlation_id,
    )
