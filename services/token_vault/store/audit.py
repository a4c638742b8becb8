"""The audit log: append and read. There is no other operation on it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from services.meshkit.correlation import correlation_id
from services.meshkit.db import Connection
from services.meshkit.ids import new_id
from services.token_vault.store.statements import Parameters, where
from services.token_vault.store.tenants import Scope

OK = "ok"


@dataclass(frozen=True)
class Entry:
    """One action that was done or refused.

    Args:
        actor: Its author: "mesh:ingest", "key:<id>", "browser:<flow id>", "command", "token-vault".
        action: Its name: "token.issue", ...
        outcome: "ok" or a reason of the catalogue.
        tenant_id: The tenant that it concerns; empty for none.
        detail: Further facts. Never a secret.
        occurred_at: Its time.
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


_APPEND = """
INSERT INTO vault.audit_entries
  (audit_entry_id, occurred_at, actor, action, tenant_id, outcome, detail, correlation_id)
SELECT * FROM unnest(
  $1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::jsonb[], $8::text[])
"""
_SELECT = """
SELECT audit_entry_id::text AS audit_entry_id, occurred_at, actor, action, coalesce(tenant_id::text, '') AS tenant_id,
  outcome, detail, correlation_id
FROM vault.audit_entries e
"""
_EXTEND = "SELECT vault.extend_audit($1)"
_PRUNE = "SELECT vault.prune_audit($1)"
_COUNT_OUTCOMES = """
SELECT count(*), count(*) FILTER (WHERE outcome <> 'ok') FROM vault.audit_entries
WHERE action = $1 AND occurred_at >= $2
"""


async def append(connection: Connection, *entries: Entry) -> None:
    """Append entries by one statement, in the transaction of the action that they record if there is one."""
    columns = zip(*(entry_columns(entry) for entry in entries), strict=True)
    await connection.execute(_APPEND, *(list(column) for column in columns))


async def list_entries(
    connection: Connection, wanted: EntryFilter, scope: Scope, before: tuple[str, str] | None, limit: int
) -> list[Entry]:
    """List entries, newest first.

    Args:
        connection: A connection to the database.
        wanted: The filter.
        scope: The tenants that the caller may see. Only callers without limits see entries without a tenant.
        before: `occurred_at` in ISO form and id of the last entry on the page before.
        limit: The most to return.
    """
    parameters = Parameters()
    conditions = _conditions(parameters, wanted, scope, before)
    order = "ORDER BY e.occurred_at DESC, e.audit_entry_id DESC"
    text = f"{_SELECT}{where(conditions)} {order} LIMIT {parameters.add(limit)}"
    return [_entry(row) for row in await connection.fetch(text, *parameters.values)]


async def extend(connection: Connection, months: int) -> int:
    """Make the missing partitions of this month and of so many months after it."""
    made: int = await connection.fetchval(_EXTEND, months)
    return made


async def prune(connection: Connection, days: int) -> int:
    """Drop whole months that ended longer ago; never one of the last 90 days."""
    dropped: int = await connection.fetchval(_PRUNE, days)
    return dropped


async def count_outcomes(connection: Connection, action: str, since: datetime) -> tuple[int, int]:
    """Count the entries of an action since a time: all of them, and those with another outcome than ok."""
    counts = await connection.fetchrow(_COUNT_OUTCOMES, action, since)
    assert counts is not None  # noqa: S101 - an aggregate always has one row
    return counts[0], counts[1]


def entry_columns(entry: Entry) -> tuple[Any, ...]:
    """Return an entry's columns in the order of the statements that append."""
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


def _conditions(parameters: Parameters, wanted: EntryFilter, scope: Scope, before: tuple[str, str] | None) -> list[str]:
    conditions = []
    if scope is not None:
        conditions.append(f"e.tenant_id = ANY({parameters.add(sorted(scope))}::uuid[])")
    if wanted.tenant_id:
        conditions.append(f"e.tenant_id = {parameters.add(wanted.tenant_id)}")
    if wanted.action:
        conditions.append(f"e.action = {parameters.add(wanted.action)}")
    if wanted.occurred_from is not None:
        conditions.append(f"e.occurred_at >= {parameters.add(wanted.occurred_from)}")
    if wanted.occurred_before is not None:
        conditions.append(f"e.occurred_at < {parameters.add(wanted.occurred_before)}")
    if before is not None:
        occurred_at, entry_id = parameters.add(datetime.fromisoformat(before[0])), parameters.add(before[1])
        conditions.append(f"(e.occurred_at, e.audit_entry_id) < ({occurred_at}::timestamptz, {entry_id}::uuid)")
    return conditions


def _entry(row: asyncpg.Record) -> Entry:
    return Entry(**{**row, "detail": json.loads(row["detail"])})
