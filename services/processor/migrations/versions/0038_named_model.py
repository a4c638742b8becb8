"""The named model: a tenant's settings with its tokens of a day, and an entry for each text that was sent.

Revision ID: 0038
Revises: 0034
"""

from alembic import op

revision = "0038"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE processor.model_settings (
            tenant_id uuid PRIMARY KEY,
            is_enabled boolean NOT NULL,
            may_leave_machine boolean NOT NULL,
            day date NOT NULL,
            tokens bigint NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE processor.model_calls (
            tenant_id uuid NOT NULL,
            call_id uuid NOT NULL,
            asked_at timestamptz NOT NULL,
            key_id text NOT NULL,
            operation text NOT NULL,
            model text NOT NULL,
            is_outside boolean NOT NULL,
            prompt_version text NOT NULL,
            digest bytea NOT NULL,
            state smallint NOT NULL,
            reason text NOT NULL,
            label text NOT NULL,
            tokens bigint NOT NULL,
            PRIMARY KEY (tenant_id, call_id)
        )
    """)
    op.execute("CREATE INDEX model_calls_age ON processor.model_calls (asked_at)")


def downgrade() -> None:
    op.execute("DROP TABLE processor.model_calls")
    op.execute("DROP TABLE processor.model_settings")
