"""Subscriptions to calendars, and the channels by which Google pushes their changes.

Revision ID: 0008
Revises: 0007
"""

import runpy
from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    # 1 is SUBSCRIPTION_RESOURCE_MAIL.
    """
    ALTER TABLE ingest.subscriptions
        ADD COLUMN resource smallint NOT NULL DEFAULT 1,
        ADD COLUMN calendar_id uuid,
        ADD COLUMN provider_calendar_id text NOT NULL DEFAULT '',
        ADD COLUMN is_default_calendar boolean NOT NULL DEFAULT false
    """,
    # A channel cannot be renewed: while it is replaced, a subscription has two. Its row precedes the call that opens
    # it, because its first push can precede the answer. Without a resource_id a channel cannot be stopped.
    """
    CREATE TABLE ingest.channels (
        tenant_id uuid NOT NULL,
        channel_id uuid NOT NULL,
        subscription_id uuid NOT NULL,
        token_digest bytea NOT NULL,
        resource_id text NOT NULL DEFAULT '',
        expires_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, channel_id)
    )
    """,
    "CREATE INDEX channels_id ON ingest.channels (channel_id)",
    "CREATE INDEX channels_subscription ON ingest.channels (subscription_id)",
)
_WATCHES = """
            'delivery_mode', delivery_mode) ORDER BY created_at, subscription_id), '[]')::text INTO watches
        FROM ingest.subscriptions WHERE tenant_id = mailbox_id AND state NOT IN (6, 7);"""
# 2 is SUBSCRIPTION_STATE_ACTIVE, DELIVERY_MODE_POLL and SUBSCRIPTION_RESOURCE_CALENDAR.
_ALL_WATCHES = """
            'delivery_mode', delivery_mode, 'calendar_id', calendar_id,
            'is_pushed', state = 2 AND delivery_mode <> 2 AND expires_at > now()
            ) ORDER BY created_at, subscription_id), '[]')::text INTO watches
        FROM ingest.subscriptions WHERE tenant_id = mailbox_id AND state NOT IN (6, 7) AND resource IN (1, 2);"""


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    op.execute(_claim().replace(_WATCHES, _ALL_WATCHES))


def downgrade() -> None:
    op.execute("DELETE FROM ingest.subscriptions WHERE resource <> 1")
    op.execute("DELETE FROM ingest.items WHERE kind = 11")
    op.execute(_claim())
    op.execute("DROP TABLE ingest.channels")
    for column in ("is_default_calendar", "provider_calendar_id", "calendar_id", "resource"):
        op.execute(f"ALTER TABLE ingest.subscriptions DROP COLUMN {column}")


def _claim() -> str:
    """Return the statement that makes the function of claims as the earlier migration made it."""
    earlier = runpy.run_path(str(Path(__file__).with_name("0002_lease_functions.py")))
    return str(earlier["_CLAIM"]).replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
