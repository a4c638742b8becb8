"""Classification on arrival: a tenant's settings and its place in the stream. Timers of conversations.

Revision ID: 0030
Revises: 0027
"""

from alembic import op

revision = "0030"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE processor.classification_settings (
            tenant_id uuid PRIMARY KEY,
            is_enabled boolean NOT NULL,
            version bigint NOT NULL,
            position bigint NOT NULL,
            cursor text NOT NULL,
            content bytea NOT NULL,
            attempts integer NOT NULL,
            reason text NOT NULL,
            retry_at timestamptz
        )
    """)
    op.execute("""
        CREATE TABLE processor.conversation_timers (
            tenant_id uuid NOT NULL,
            conversation_id uuid NOT NULL,
            name text NOT NULL,
            due_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, conversation_id, name)
        )
    """)
    op.execute("CREATE INDEX conversation_timers_due ON processor.conversation_timers (due_at)")


def downgrade() -> None:
    # Events "mail.classified" stay: the release before reads them as mail events of an unknown type.
    op.execute("DROP TABLE processor.conversation_timers")
    op.execute("DROP TABLE processor.classification_settings")
