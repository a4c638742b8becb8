"""Answers that events had before their submission: such an event does not tell whether it was given once more.

Revision ID: 0021
Revises: 0019
"""

from alembic import op

revision = "0021"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE processor.calendar_writes ADD COLUMN was_given boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE processor.calendar_writes DROP COLUMN was_given")
