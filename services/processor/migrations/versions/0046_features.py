"""The key that seals cursors, and the features that the stored data needs a process to know.

Revision ID: 0046
Revises: 0044
"""

from alembic import op

revision = "0046"
down_revision = "0044"
branch_labels = None
depends_on = None

# Made by PostgreSQL, from 244 random bits: its log shows a statement that fails.
_KEY = "sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))"
# A stream with events may still have readers at processes of the release before, which cannot read sealed cursors. An
# operator begins to seal when they are gone.
_UP = (
    "ALTER TABLE processor.stream ADD COLUMN cursor_key bytea CHECK (length(cursor_key) = 32)",
    """
    CREATE TABLE processor.features (
        name text PRIMARY KEY CHECK (name <> ''),
        used_since timestamptz NOT NULL DEFAULT now()
    )
    """,
    f"UPDATE processor.stream SET cursor_key = {_KEY} WHERE id = 1 AND head = 0 AND floor = 0",  # noqa: S608 - constants
    "INSERT INTO processor.features (name) SELECT 'sealed-cursors' FROM processor.stream WHERE cursor_key IS NOT NULL",
    "INSERT INTO processor.features (name) SELECT 'sealed-content' WHERE EXISTS (SELECT FROM processor.sealed_tenants)",
)
_DOWN = (
    "DROP TABLE processor.features",
    "ALTER TABLE processor.stream DROP COLUMN cursor_key",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
