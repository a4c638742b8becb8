"""Erased persons: the counts of rows that were removed or rewritten without an address.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The address itself is not here: TokenVault names it for as long as the erasure runs.
    op.execute(
        """
        CREATE TABLE ingest.erased_persons (
          erasure_id uuid PRIMARY KEY,
          tenant_id uuid NOT NULL,
          removed jsonb NOT NULL DEFAULT '{}'::jsonb
        )
        """
    )
    op.execute("CREATE INDEX erased_persons_tenant ON ingest.erased_persons (tenant_id)")


def downgrade() -> None:
    op.execute("DROP TABLE ingest.erased_persons")
