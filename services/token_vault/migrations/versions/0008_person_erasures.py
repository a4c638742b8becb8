"""Erasures of persons: their cut-offs, their progress, their counts and their signed reports.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# The address itself is not in erased_persons: TokenVault names it for as long as the erasure runs.
_UP = (
    """
        CREATE TABLE vault.erased_persons (
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
    "CREATE INDEX erased_persons_tenant ON vault.erased_persons (tenant_id)",
    """
    CREATE TABLE vault.person_erasures (
        erasure_id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        address text NOT NULL,
        address_digest text NOT NULL,
        digest_key text NOT NULL,
        requested_at timestamptz NOT NULL,
        confirmed_at timestamptz NOT NULL,
        finished_at timestamptz,
        cancelled_at timestamptz,
        backups_forget_at timestamptz,
        parts jsonb NOT NULL DEFAULT '{}'::jsonb,
        progress jsonb NOT NULL DEFAULT '{}'::jsonb,
        report text NOT NULL DEFAULT '',
        signature text NOT NULL DEFAULT '',
        certificate text NOT NULL DEFAULT ''
    )
    """,
    """
    CREATE UNIQUE INDEX person_erasures_running ON vault.person_erasures (tenant_id, address) WHERE finished_at IS NULL
    """,
    "CREATE INDEX person_erasures_tenant ON vault.person_erasures (tenant_id)",
    "CREATE INDEX person_erasures_pending ON vault.person_erasures (requested_at) WHERE finished_at IS NULL",
)
_DOWN = (
    "DROP TABLE vault.person_erasures",
    "DROP TABLE vault.erased_persons",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
