"""Erased tenants: the mark that keeps them away, and the counts of their removed rows.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The mark of a tenant that is erased, and the removed rows by table. It outlasts the erasure, as its proof does.
    op.execute(
        """
        CREATE TABLE delivery.erased_tenants (
          tenant_id uuid PRIMARY KEY,
          begun_at timestamptz NOT NULL DEFAULT now(),
          removed jsonb NOT NULL DEFAULT '{}'::jsonb
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE delivery.erased_tenants")
