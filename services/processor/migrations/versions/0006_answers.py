"""Sends that are no new mail to be sent: answers and forwards, whose recipients a worker derives, and drafts to keep.

The pause of an account's sends is one value of its mailbox.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE processor.sends ADD COLUMN addressed bytea NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE processor.sends ADD COLUMN is_plain boolean NOT NULL DEFAULT true")
    op.execute("ALTER TABLE processor.mailboxes ADD COLUMN sends_held_until timestamptz")


def downgrade() -> None:
    # The release before would send these rows as new mail, and a draft that a person was to finish as well.
    op.execute("DELETE FROM processor.sends WHERE NOT is_plain")
    op.execute("ALTER TABLE processor.mailboxes DROP COLUMN sends_held_until")
    op.execute("ALTER TABLE processor.sends DROP COLUMN is_plain")
    op.execute("ALTER TABLE processor.sends DROP COLUMN addressed")
