"""The bytes of each replay, by which those of an API key in a day are bounded.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE processor.replays ADD COLUMN bytes bigint NOT NULL DEFAULT 0")
    op.execute("CREATE INDEX replays_by_key ON processor.replays (key_id, created_at)")


def downgrade() -> None:
    op.execute("DROP INDEX processor.replays_by_key")
    op.execute("ALTER TABLE processor.replays DROP COLUMN bytes")
