"""Events of a complete round of a calendar that wait until the round has listed all of them.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_OF_GOOGLE = "SELECT tenant_id FROM processor.tenants WHERE provider = 'googlews'"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE processor.calendar_staged (
            calendar_id uuid NOT NULL REFERENCES processor.calendars ON DELETE CASCADE,
            series text NOT NULL,
            provider_event_id text NOT NULL,
            round integer NOT NULL,
            content bytea NOT NULL,
            PRIMARY KEY (calendar_id, series, provider_event_id)
        )
        """
    )


def downgrade() -> None:
    # The release before knows Microsoft's calendars only, and would send a Google account's token to Microsoft Graph.
    op.execute(f"DELETE FROM processor.calendars WHERE tenant_id IN ({_OF_GOOGLE})")  # noqa: S608 - constants
    op.execute(f"DELETE FROM processor.calendar_lists WHERE tenant_id IN ({_OF_GOOGLE})")  # noqa: S608 - constants
    # It does not know the phase 4 either, and reads such a calendar afresh.
    op.execute("UPDATE processor.calendars SET phase = 0, cursor = '' WHERE phase = 4")
    op.execute("DROP TABLE processor.calendar_staged")
