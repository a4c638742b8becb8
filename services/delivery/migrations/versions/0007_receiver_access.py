"""Client certificates of endpoints, and client credentials for their receivers.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COLUMNS = (
    "sealed_access bytea NOT NULL DEFAULT ''",
    "certificate_ends_at timestamptz",
    "token_url text NOT NULL DEFAULT ''",
)


def upgrade() -> None:
    op.execute(f"ALTER TABLE delivery.endpoints {', '.join(f'ADD COLUMN {one}' for one in _COLUMNS)}")


def downgrade() -> None:
    names = (one.split()[0] for one in _COLUMNS)
    op.execute(f"ALTER TABLE delivery.endpoints {', '.join(f'DROP COLUMN {name}' for name in names)}")
