"""Classification on arrival: a tenant's settings and its place in the stream.

Revision ID: 0030
Revises: 0026
"""

from alembic import op

revision = "0030"
down_revision = "0026"
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


def downgrade() -> None:
    # Events "mail.classified" stay: the release before reads them as mail events of an unknown type.
    op.execute("DROP TABLE processor.classification_settings")
