"""The time up to which tokens of a person are refused: that of the last revoked key that another one has replaced.

Revision ID: 0016
Revises: 0013
"""

from alembic import op

revision = "0016"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE vault.people ADD COLUMN not_before timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE vault.people DROP COLUMN not_before")
