"""Indexes by which an erasure finds a tenant's rows without reading whole tables.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX deliveries_by_tenant ON delivery.deliveries (tenant_id)")
    op.execute("CREATE INDEX attempts_by_tenant ON delivery.attempts (tenant_id)")


def downgrade() -> None:
    op.execute("DROP INDEX delivery.attempts_by_tenant")
    op.execute("DROP INDEX delivery.deliveries_by_tenant")
