"""Erasures of persons: their progress, their counts and their signed reports.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The address is emptied when the erasure ends; its digest stays.
    op.execute(
        """
        CREATE TABLE vault.person_erasures (
          erasure_id uuid PRIMARY KEY,
          tenant_id uuid NOT NULL,
          address text NOT NULL,
          address_digest text NOT NULL,
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
    op.execute(
        "CREATE UNIQUE INDEX person_erasures_running ON vault.person_erasures (tenant_id, address_digest)"
        " WHERE finished_at IS NULL"
    )
    op.execute("CREATE INDEX person_erasures_tenant ON vault.person_erasures (tenant_id)")
    op.execute(
        """
        CREATE TABLE vault.erased_persons (
          erasure_id uuid PRIMARY KEY,
          tenant_id uuid NOT NULL,
          removed jsonb NOT NULL DEFAULT '{}'::jsonb
        )
        """
    )
    op.execute("CREATE INDEX erased_persons_tenant ON vault.erased_persons (tenant_id)")


def downgrade() -> None:
    op.execute("DROP TABLE vault.erased_persons")
    op.execute("DROP TABLE vault.person_erasures")
