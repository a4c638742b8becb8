"""Backfills: one for each tenant, with the oldest time that it has reached.

Revision ID: 0016
Revises: 0015
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE processor.backfills (
          tenant_id uuid PRIMARY KEY,
          provider text NOT NULL,
          state smallint NOT NULL,
          since timestamptz NOT NULL,
          until timestamptz NOT NULL,
          reached_at timestamptz NOT NULL,
          progressed_at timestamptz NOT NULL,
          link text NOT NULL DEFAULT '',
          done_from timestamptz,
          done_until timestamptz,
          messages bigint NOT NULL DEFAULT 0,
          is_cut boolean NOT NULL DEFAULT false,
          failures integer NOT NULL DEFAULT 0,
          reason text NOT NULL DEFAULT '',
          detail text NOT NULL DEFAULT '',
          correlation_id text NOT NULL,
          due_at timestamptz,
          finished_at timestamptz
        )
        """
    )
    op.execute("CREATE INDEX backfills_by_due ON processor.backfills (due_at) WHERE due_at IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP TABLE processor.backfills")
