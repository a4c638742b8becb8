"""The events of calendars that cannot be read, and calendars whose events are being deleted.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE processor.calendar_unread (
            calendar_event_id uuid PRIMARY KEY,
            calendar_id uuid NOT NULL REFERENCES processor.calendars ON DELETE CASCADE,
            series_id uuid,
            round integer NOT NULL,
            reason text NOT NULL,
            detail text NOT NULL,
            seen_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX calendar_unread_by_calendar ON processor.calendar_unread (calendar_id)")
    op.execute("CREATE INDEX calendar_unread_by_series ON processor.calendar_unread (series_id)")
    op.execute("CREATE INDEX calendars_by_clearing ON processor.calendars (calendar_id) WHERE phase = 3")


def downgrade() -> None:
    # The release before does not know the phase 3, and would keep the events.
    op.execute("DELETE FROM processor.calendar_events WHERE calendar_id IN (SELECT calendar_id FROM processor.calendars"
               " WHERE phase = 3)")  # fmt: skip
    op.execute("UPDATE processor.calendars SET phase = 0 WHERE phase = 3")
    op.execute("DROP INDEX processor.calendars_by_clearing")
    op.execute("DROP TABLE processor.calendar_unread")
