"""An index by which an erasure finds a tenant's processed items without reading all of them.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of the partitioned table: each partition has it, also those that are attached later.
    op.execute("CREATE INDEX worked_items_tenant ON ingest.worked_items (tenant_id)")


def downgrade() -> None:
    op.execute("DROP INDEX ingest.worked_items_tenant")
