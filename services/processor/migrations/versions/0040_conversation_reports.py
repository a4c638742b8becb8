"""Conversations: bounces that wait for their message, retention, timers that fail. Turns of classification.

Revision ID: 0040
Revises: 0038
"""

from alembic import op

revision = "0040"
down_revision = "0038"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE processor.conversation_reports (
        tenant_id uuid NOT NULL,
        digest bytea NOT NULL,
        message_id text NOT NULL,
        report bytea NOT NULL,
        reported_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, digest, message_id)
    )
    """,
    "CREATE INDEX conversation_reports_by_age ON processor.conversation_reports (reported_at)",
    """
    ALTER TABLE processor.conversation_settings ADD COLUMN retention_days integer NOT NULL DEFAULT 0,
        ADD COLUMN quarantine_days integer NOT NULL DEFAULT 0
    """,
    # Those that an earlier release has stored count as others until their next change.
    "ALTER TABLE processor.conversations ADD COLUMN is_quarantined boolean NOT NULL DEFAULT false",
    "CREATE INDEX conversation_links_by_conversation ON processor.conversation_links (conversation_id)",
    """
    ALTER TABLE processor.conversation_timers ADD COLUMN attempts integer NOT NULL DEFAULT 0,
        ADD COLUMN reason text NOT NULL DEFAULT '', ADD COLUMN retry_at timestamptz
    """,
    "ALTER TABLE processor.classification_settings ADD COLUMN tried_at timestamptz",
)
_DOWN = (
    "ALTER TABLE processor.classification_settings DROP COLUMN tried_at",
    "ALTER TABLE processor.conversation_timers DROP COLUMN attempts, DROP COLUMN reason, DROP COLUMN retry_at",
    "DROP INDEX processor.conversation_links_by_conversation",
    "ALTER TABLE processor.conversations DROP COLUMN is_quarantined",
    "ALTER TABLE processor.conversation_settings DROP COLUMN retention_days, DROP COLUMN quarantine_days",
    "DROP TABLE processor.conversation_reports",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
