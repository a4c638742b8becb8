"""The tables of mailboxes and workers.

mailboxes        one row for each tenant: fence, cursors, last reconciliation
workers, duties  live workers, and duties that one process has at a time
"""

from sqlalchemy import BigInteger, Boolean, Column, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from services.meshkit.columns import ID, TIME, required
from services.processor.tables.schema import metadata

mailboxes = Table(
    "mailboxes",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("fence", BigInteger()),
    Column("history_id", BigInteger()),
    Column("covered_from", TIME),
    Column("throttled_until", TIME),
    required("is_polled", Boolean()),
    required("is_watched", Boolean()),
    Column("last_event_at", TIME),
    Column("caught_up_at", TIME),
    Column("last_reconciled_at", TIME),
    Column("reconcile_due_at", TIME),
    Column("resync", JSONB()),
    required("created_at", TIME),
    Column("history_claim", BigInteger()),
    Column("history_claimed_at", TIME),
    Column("history_due_at", TIME),
    Column("history_anchor", BigInteger()),
    required("cursor_refusals", Integer()),
    required("throttles", Integer()),
    Column("resync_due_at", TIME),
    required("listing_refusals", Integer()),
    Column("sends_held_until", TIME),
)

workers = Table(
    "workers",
    metadata,
    required("worker_id", Text(), primary_key=True),
    required("started_at", TIME),
    required("seen_at", TIME),
    required("tenants_held", Integer()),
)

duties = Table(
    "duties",
    metadata,
    required("name", Text(), primary_key=True),
    required("holder", Text()),
    required("expires_at", TIME),
)
