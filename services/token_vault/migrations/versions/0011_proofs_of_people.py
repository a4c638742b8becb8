"""The newest proof of each person: tokens that are older than it do not bring back the rights of then.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE vault.people
  ADD COLUMN proven_at timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
  ADD COLUMN is_refused boolean NOT NULL DEFAULT false
"""


def upgrade() -> None:
    op.execute(_COLUMNS)


def downgrade() -> None:
    op.execute("ALTER TABLE vault.people DROP COLUMN proven_at, DROP COLUMN is_refused")
