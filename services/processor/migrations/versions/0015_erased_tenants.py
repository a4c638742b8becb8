"""Erased tenants: the mark that keeps them away, and the counts of their removed rows.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The mark of a tenant that is erased, and the removed rows by table. It outlasts the erasure, as its proof does.
    op.execute(
        """
        CREATE TABLE processor.erased_tenants (
          tenant_id uuid PRIMARY KEY,
          begun_at timestamptz NOT NULL DEFAULT now(),
          removed jsonb NOT NULL DEFAULT '{}'::jsonb
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE processor.erased_tenants")
