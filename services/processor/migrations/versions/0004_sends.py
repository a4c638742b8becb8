"""Sends: the mail that callers asked for, its progress at the provider, and its outcome; what tenants granted.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE processor.sends (
        send_id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        idempotency_key text NOT NULL,
        digest bytea NOT NULL,
        provider text NOT NULL,
        content bytea NOT NULL,
        body bytea NOT NULL,
        state smallint NOT NULL,
        reason text NOT NULL DEFAULT '',
        detail text NOT NULL DEFAULT '',
        correlation_id text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        send_at timestamptz,
        due_at timestamptz,
        deadline_at timestamptz NOT NULL,
        finished_at timestamptz,
        attempts integer NOT NULL DEFAULT 0,
        prepared_at timestamptz,
        draft_id text NOT NULL DEFAULT '',
        history_anchor text NOT NULL DEFAULT '',
        submitted_at timestamptz,
        submissions integer NOT NULL DEFAULT 0,
        accepted_at timestamptz,
        message_id text NOT NULL DEFAULT '',
        internet_message_id text NOT NULL DEFAULT '',
        provider_thread_id text NOT NULL DEFAULT '',
        resolutions integer NOT NULL DEFAULT 0,
        is_resolved boolean NOT NULL DEFAULT false
    )
    """,
    # Filled by the next change of each tenant: no tenant of an earlier release has granted more than reading.
    "ALTER TABLE processor.tenants ADD COLUMN granted_abilities text[] NOT NULL DEFAULT '{}'",
    "CREATE UNIQUE INDEX sends_by_key ON processor.sends (tenant_id, idempotency_key)",
    "CREATE INDEX sends_by_tenant ON processor.sends (tenant_id, send_id)",
    "CREATE INDEX sends_by_state ON processor.sends (state, send_id)",
    "CREATE INDEX sends_by_due ON processor.sends (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX sends_by_tenant_due ON processor.sends (tenant_id, due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX sends_by_submission ON processor.sends (tenant_id, submitted_at) WHERE submitted_at IS NOT NULL",
    "CREATE INDEX sends_by_end ON processor.sends (finished_at) WHERE finished_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE processor.tenants DROP COLUMN granted_abilities")
    op.execute("DROP TABLE processor.sends")
