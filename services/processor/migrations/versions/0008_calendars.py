"""Calendars: the list of each account, the followed ones with their cursors, and their events.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE processor.calendar_lists (
        tenant_id uuid PRIMARY KEY,
        due_at timestamptz,
        read_at timestamptz,
        failures integer NOT NULL DEFAULT 0,
        reason text NOT NULL DEFAULT '',
        detail text NOT NULL DEFAULT ''
    )
    """,
    """
    CREATE TABLE processor.calendars (
        calendar_id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        provider_calendar_id text NOT NULL,
        info bytea NOT NULL,
        is_listed boolean NOT NULL DEFAULT true,
        state smallint NOT NULL,
        reason text NOT NULL DEFAULT '',
        detail text NOT NULL DEFAULT '',
        follows integer NOT NULL DEFAULT 0,
        followed_at timestamptz,
        synced_at timestamptz,
        due_at timestamptz,
        failures integer NOT NULL DEFAULT 0,
        is_listing boolean NOT NULL DEFAULT false,
        cursor text NOT NULL DEFAULT '',
        round integer NOT NULL DEFAULT 0,
        phase smallint NOT NULL DEFAULT 0,
        rounded_at timestamptz
    )
    """,
    "CREATE UNIQUE INDEX calendars_by_account ON processor.calendars (tenant_id, provider_calendar_id)",
    "CREATE INDEX calendars_by_due ON processor.calendars (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX calendar_lists_by_due ON processor.calendar_lists (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE TABLE processor.calendar_events (
        calendar_event_id uuid PRIMARY KEY,
        calendar_id uuid NOT NULL REFERENCES processor.calendars ON DELETE CASCADE,
        series_id uuid,
        original_day text NOT NULL DEFAULT '',
        starts_at timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        is_series boolean NOT NULL,
        revision bigint NOT NULL,
        round integer NOT NULL,
        deleted_at timestamptz,
        content bytea NOT NULL
    )
    """,
    """
    CREATE INDEX calendar_events_by_start ON processor.calendar_events (calendar_id, starts_at, calendar_event_id)
    WHERE series_id IS NULL AND deleted_at IS NULL
    """,
    "CREATE INDEX calendar_events_by_series ON processor.calendar_events (series_id) WHERE series_id IS NOT NULL",
    """
    CREATE INDEX calendar_series ON processor.calendar_events (calendar_id)
    WHERE is_series AND deleted_at IS NULL
    """,
    "CREATE INDEX calendar_events_by_round ON processor.calendar_events (calendar_id, round)",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    # The release before cannot read events of calendars (kind 6): one of them would stop every reader of the stream.
    op.execute("DELETE FROM processor.events WHERE kind = 6")
    for table in ("calendar_events", "calendars", "calendar_lists"):
        op.execute(f"DROP TABLE processor.{table}")
