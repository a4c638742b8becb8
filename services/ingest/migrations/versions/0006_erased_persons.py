"""Erased persons: cut-offs, progress and counts, and the indexes by which rows of a tenant are read in pages.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# The address itself is not in erased_persons: TokenVault names it for as long as the erasure runs.
_UP = (
    """
        CREATE TABLE ingest.erased_persons (
          erasure_id uuid PRIMARY KEY,
          tenant_id uuid NOT NULL,
          removed jsonb NOT NULL DEFAULT '{}'::jsonb,
          cut_off_at timestamptz NOT NULL DEFAULT now(),
          bounds jsonb NOT NULL DEFAULT '{}'::jsonb,
          step integer NOT NULL DEFAULT 0,
          step_at timestamptz NOT NULL DEFAULT now(),
          reached text[],
          checked bigint NOT NULL DEFAULT 0,
          holder uuid,
          leased_until timestamptz,
          finished_at timestamptz
        )
    """,
    "CREATE INDEX erased_persons_tenant ON ingest.erased_persons (tenant_id)",
    "CREATE INDEX worked_items_by_tenant ON ingest.worked_items (tenant_id, item_id, worked_at)",
    "DROP INDEX ingest.worked_items_tenant",
)
_DOWN = (
    "CREATE INDEX worked_items_tenant ON ingest.worked_items (tenant_id)",
    "DROP INDEX ingest.worked_items_by_tenant",
    "DROP TABLE ingest.erased_persons",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
