"""The occurrence of a series that a write changes.

Revision ID: 0025
Revises: 0023
"""

from alembic import op

revision = "0025"
down_revision = "0023"
branch_labels = None
depends_on = None

_UP = (
    "ALTER TABLE processor.calendar_writes ADD COLUMN series_id uuid",
    "ALTER TABLE processor.calendar_writes ADD COLUMN provider_series_id text NOT NULL DEFAULT ''",
    "ALTER TABLE processor.calendar_writes ADD COLUMN original_start text NOT NULL DEFAULT ''",
    "CREATE INDEX calendar_writes_by_series ON processor.calendar_writes (series_id) WHERE series_id IS NOT NULL",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    # The release before would take an occurrence's write for one without an event: each ends, and a person decides.
    op.execute("DELETE FROM processor.calendar_writes WHERE provider_series_id <> '' AND provider_event_id = ''")
    for name in ("original_start", "provider_series_id", "series_id"):
        op.execute(f"ALTER TABLE processor.calendar_writes DROP COLUMN {name}")
