"""An index over the sends whose Message-ID is not known yet: reports that cite no known mail ask for one.

Revision ID: 0022
Revises: 0021
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX sends_unstamped ON processor.sends (tenant_id)"
        " WHERE internet_message_id = '' AND (submitted_at IS NOT NULL OR resolutions > 0)"
    )


def downgrade() -> None:
    op.execute("DROP INDEX processor.sends_unstamped")
