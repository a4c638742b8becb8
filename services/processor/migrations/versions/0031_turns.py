"""The time of a tenant's last turn in conversations, and a shorter list of unsorted entries in the index of search.

Revision ID: 0031
Revises: 0030
"""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE processor.conversation_settings ADD COLUMN tried_at timestamptz")
    # Each search reads the whole list. Its length is in kB.
    op.execute("ALTER INDEX processor.search_mails_by_terms SET (gin_pending_list_limit = 512)")


def downgrade() -> None:
    op.execute("ALTER TABLE processor.conversation_settings DROP COLUMN tried_at")
    op.execute("ALTER INDEX processor.search_mails_by_terms RESET (gin_pending_list_limit)")
