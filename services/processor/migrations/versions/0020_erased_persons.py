"""Erased persons: the counts of rows that were removed or rewritten without an address.

Revision ID: 0020
Revises: 0019
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The address itself is not here: TokenVault names it for as long as the erasure runs.
    op.execute(
        """
        CREATE TABLE processor.erased_persons (
          erasure_id uuid PRIMARY KEY,
          tenant_id uuid NOT NULL,
          removed jsonb NOT NULL DEFAULT '{}'::jsonb
        )
        """
    )
    op.execute("CREATE INDEX erased_persons_tenant ON processor.erased_persons (tenant_id)")


def downgrade() -> None:
    op.execute("DROP TABLE processor.erased_persons")
