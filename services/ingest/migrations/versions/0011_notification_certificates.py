"""Certificates of notifications with resource data, and the subscriptions that ask for them.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    CREATE TABLE ingest.notification_certificates (
        certificate_id uuid NOT NULL PRIMARY KEY,
        certificate bytea NOT NULL,
        sealed_key bytea NOT NULL,
        sealed_by text NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        superseded_at timestamptz
    )
    """)
    op.execute("""
    CREATE UNIQUE INDEX notification_certificates_newest
        ON ingest.notification_certificates ((true)) WHERE superseded_at IS NULL
    """)
    op.execute("""
    ALTER TABLE ingest.subscriptions
        ADD COLUMN includes_resource_data boolean NOT NULL DEFAULT false,
        ADD COLUMN certificate_id uuid
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE ingest.subscriptions DROP COLUMN includes_resource_data, DROP COLUMN certificate_id")
    op.execute("DROP TABLE ingest.notification_certificates")
