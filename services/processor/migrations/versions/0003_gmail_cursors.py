"""Claims of Gmail cursors that still have to be confirmed, refusals, throttles, and the next comparison.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = {
    "history_claim": "bigint",
    "history_claimed_at": "timestamptz",
    "history_due_at": "timestamptz",
    "history_anchor": "bigint",
    "cursor_refusals": "integer NOT NULL DEFAULT 0",
    "throttles": "integer NOT NULL DEFAULT 0",
    "resync_due_at": "timestamptz",
}
_DUE = ("history_due_at", "resync_due_at")
# The earlier release reads each key of a stored comparison, and knows the others alone.
_KEYS = "ARRAY['lost','first_id','is_compared','checked','is_cut','round','not_before','refusals']"


def upgrade() -> None:
    columns = ", ".join(f"ADD COLUMN {name} {kind}" for name, kind in _COLUMNS.items())
    op.execute(f"ALTER TABLE processor.mailboxes {columns}")
    for name in _DUE:
        op.execute(f"CREATE INDEX mailboxes_by_{name} ON processor.mailboxes ({name}) WHERE {name} IS NOT NULL")


def downgrade() -> None:
    op.execute(f"UPDATE processor.mailboxes SET resync = resync - {_KEYS} WHERE resync IS NOT NULL")  # noqa: S608 - our own
    for name in _DUE:
        op.execute(f"DROP INDEX processor.mailboxes_by_{name}")
    columns = ", ".join(f"DROP COLUMN {name}" for name in _COLUMNS)
    op.execute(f"ALTER TABLE processor.mailboxes {columns}")
