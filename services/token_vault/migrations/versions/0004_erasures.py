"""Erasures of tenants: their progress, their counts and their signed reports.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # No reference to a tenant: the tenant's row is removed, and this one stays.
    op.execute(
        """
        CREATE TABLE vault.erasures (
          tenant_id uuid PRIMARY KEY,
          requested_at timestamptz NOT NULL,
          confirmed_at timestamptz NOT NULL,
          finished_at timestamptz,
          backups_forget_at timestamptz,
          parts jsonb NOT NULL DEFAULT '{}'::jsonb,
          report text NOT NULL DEFAULT '',
          signature text NOT NULL DEFAULT '',
          certificate text NOT NULL DEFAULT ''
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE vault.erasures")
