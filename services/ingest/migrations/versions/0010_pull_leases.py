"""The lease on the Pub/Sub subscription from which Gmail's notifications are pulled.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    CREATE TABLE ingest.pull_leases (
        subscription text NOT NULL PRIMARY KEY,
        holder text NOT NULL,
        expires_at timestamptz NOT NULL
    )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE ingest.pull_leases")
