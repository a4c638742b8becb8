"""Processed marks: how mails of a tenant are marked once they are processed.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE processor.processed_marks (
            tenant_id uuid PRIMARY KEY,
            mark bytea NOT NULL,
            change bytea NOT NULL
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE processor.processed_marks")
