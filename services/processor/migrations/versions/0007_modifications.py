"""Modifications: the changes of mails that callers asked for, their outcomes, and the changes that events recognise.

Revision ID: 0007
Revises: 0005
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE processor.modifications (
        modification_id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        idempotency_key text NOT NULL,
        digest bytea NOT NULL,
        provider text NOT NULL,
        content bytea NOT NULL,
        state smallint NOT NULL,
        outcomes bytea NOT NULL,
        reason text NOT NULL DEFAULT '',
        detail text NOT NULL DEFAULT '',
        correlation_id text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        due_at timestamptz,
        deadline_at timestamptz NOT NULL,
        finished_at timestamptz,
        attempts integer NOT NULL DEFAULT 0
    )
    """,
    "CREATE UNIQUE INDEX modifications_by_key ON processor.modifications (tenant_id, idempotency_key)",
    "CREATE INDEX modifications_by_due ON processor.modifications (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX modifications_by_tenant_due ON processor.modifications (tenant_id, due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX modifications_by_end ON processor.modifications (finished_at) WHERE finished_at IS NOT NULL",
    """
    CREATE TABLE processor.own_changes (
        tenant_id uuid NOT NULL,
        message_id text NOT NULL,
        modification_id uuid NOT NULL,
        version text NOT NULL DEFAULT '',
        fields text[] NOT NULL DEFAULT '{}',
        labels_added text[] NOT NULL DEFAULT '{}',
        labels_removed text[] NOT NULL DEFAULT '{}',
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, message_id, modification_id)
    )
    """,
    "CREATE INDEX own_changes_by_expiry ON processor.own_changes (expires_at)",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE processor.own_changes")
    op.execute("DROP TABLE processor.modifications")
