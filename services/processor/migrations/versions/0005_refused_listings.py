"""Refusals in a row of the listing of changes at Microsoft, so that each next one waits longer.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE processor.mailboxes ADD COLUMN listing_refusals integer NOT NULL DEFAULT 0")


def downgrade() -> None:
    op.execute("ALTER TABLE processor.mailboxes DROP COLUMN listing_refusals")
