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
        CREATE TABLE delivery.erased_persons (
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
    "CREATE INDEX erased_persons_tenant ON delivery.erased_persons (tenant_id)",
    "CREATE INDEX deliveries_of_tenant ON delivery.deliveries (tenant_id, endpoint_id, event_id)",
    "DROP INDEX delivery.deliveries_by_tenant",
    "CREATE INDEX attempts_of_tenant ON delivery.attempts (tenant_id, attempt_id)",
    "DROP INDEX delivery.attempts_by_tenant",
)
_DOWN = (
    "CREATE INDEX attempts_by_tenant ON delivery.attempts (tenant_id)",
    "DROP INDEX delivery.attempts_of_tenant",
    "CREATE INDEX deliveries_by_tenant ON delivery.deliveries (tenant_id)",
    "DROP INDEX delivery.deliveries_of_tenant",
    "DROP TABLE delivery.erased_persons",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
