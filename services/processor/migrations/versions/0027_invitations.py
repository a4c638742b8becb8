"""Invitations: the mail threads of calendar events, and how followed calendars are pushed.

Revision ID: 0027
Revises: 0026
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE processor.invitations (
        tenant_id uuid NOT NULL,
        uid_digest bytea NOT NULL,
        thread_id uuid NOT NULL,
        kept_until timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, uid_digest)
    )
    """,
    "CREATE INDEX invitations_by_thread ON processor.invitations (tenant_id, thread_id)",
    "CREATE INDEX invitations_by_age ON processor.invitations (kept_until)",
    # Rows from before get their digest when their calendar is next compared as a whole, once a day.
    "ALTER TABLE processor.calendar_events ADD COLUMN uid_digest bytea NOT NULL DEFAULT ''",
    "CREATE INDEX calendar_events_by_uid ON processor.calendar_events (uid_digest) WHERE uid_digest <> ''",
    """
    ALTER TABLE processor.calendars ADD COLUMN is_pushed boolean NOT NULL DEFAULT false,
        ADD COLUMN poll_reason text NOT NULL DEFAULT '', ADD COLUMN poll_detail text NOT NULL DEFAULT ''
    """,
)
_DOWN = (
    """
    ALTER TABLE processor.calendars DROP COLUMN poll_detail, DROP COLUMN poll_reason, DROP COLUMN is_pushed
    """,
    "DROP INDEX processor.calendar_events_by_uid",
    "ALTER TABLE processor.calendar_events DROP COLUMN uid_digest",
    "DROP TABLE processor.invitations",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
