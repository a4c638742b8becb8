"""Mailboxes, their cursors, the messages seen in them, pending lookups, tenants, workers.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE processor.tenants (
        tenant_id uuid PRIMARY KEY,
        provider text NOT NULL,
        external_tenant_id text NOT NULL DEFAULT '',
        user_id text NOT NULL DEFAULT '',
        status text NOT NULL,
        change_number bigint NOT NULL DEFAULT 0,
        changed_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX tenants_by_change ON processor.tenants (change_number)",
    "CREATE SEQUENCE processor.tenant_change_numbers",
    """
    CREATE TABLE processor.followed (
        name text PRIMARY KEY,
        cursor text NOT NULL DEFAULT '',
        updated_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE processor.mailboxes (
        tenant_id uuid PRIMARY KEY,
        fence bigint NOT NULL,
        history_id bigint,
        covered_from timestamptz,
        throttled_until timestamptz,
        is_polled boolean NOT NULL DEFAULT false,
        is_watched boolean NOT NULL DEFAULT false,
        last_event_at timestamptz,
        caught_up_at timestamptz,
        last_reconciled_at timestamptz,
        reconcile_due_at timestamptz,
        resync jsonb,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX mailboxes_by_due ON processor.mailboxes (reconcile_due_at) WHERE is_watched",
    """
    CREATE TABLE processor.folder_cursors (
        tenant_id uuid NOT NULL,
        folder_id text NOT NULL,
        alias text NOT NULL DEFAULT '',
        link text NOT NULL DEFAULT '',
        is_complete boolean NOT NULL DEFAULT true,
        is_full boolean NOT NULL DEFAULT true,
        has_baseline boolean NOT NULL DEFAULT false,
        round_started_at timestamptz NOT NULL,
        completed_at timestamptz,
        PRIMARY KEY (tenant_id, folder_id)
    )
    """,
    """
    CREATE TABLE processor.messages (
        tenant_id uuid NOT NULL,
        message_id text NOT NULL,
        generation integer NOT NULL DEFAULT 1,
        state smallint NOT NULL,
        version text NOT NULL DEFAULT '',
        folder_id text NOT NULL DEFAULT '',
        label_ids text[] NOT NULL DEFAULT '{}',
        field_digests bytea,
        open_event_id uuid,
        mail_received_at timestamptz,
        seen_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, message_id)
    )
    """,
    "CREATE INDEX messages_by_folder ON processor.messages (tenant_id, folder_id, seen_at) WHERE state < 3",
    "CREATE INDEX messages_by_time ON processor.messages (tenant_id, mail_received_at) WHERE state < 3",
    """
    CREATE TABLE processor.lookups (
        tenant_id uuid NOT NULL,
        message_id text NOT NULL,
        kinds text[] NOT NULL,
        source smallint NOT NULL,
        received_at timestamptz NOT NULL,
        correlation_id text NOT NULL,
        subscription_ids text[] NOT NULL DEFAULT '{}',
        version text NOT NULL DEFAULT '',
        notification bytea,
        was_watched boolean NOT NULL DEFAULT true,
        missing_since timestamptz,
        attempts integer NOT NULL DEFAULT 0,
        reason text NOT NULL DEFAULT '',
        due_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, message_id)
    )
    """,
    "CREATE INDEX lookups_by_due ON processor.lookups (due_at)",
    """
    CREATE TABLE processor.workers (
        worker_id text PRIMARY KEY,
        started_at timestamptz NOT NULL,
        seen_at timestamptz NOT NULL,
        tenants_held integer NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE processor.duties (
        name text PRIMARY KEY,
        holder text NOT NULL,
        expires_at timestamptz NOT NULL
    )
    """,
)

_TABLES = (
    "duties", "workers", "lookups", "messages", "folder_cursors", "mailboxes", "followed", "tenants",
)  # fmt: skip


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for table in _TABLES:
        op.execute(f"DROP TABLE processor.{table}")
    op.execute("DROP SEQUENCE processor.tenant_change_numbers")
