"""Rates and conditions of endpoints, and the notices of failing ones.

Revision ID: 0005
Revises: 0003
"""

from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

_ENDPOINTS = (
    "rate integer NOT NULL DEFAULT 0",
    "conditions bytea NOT NULL DEFAULT ''",
    "warnings smallint NOT NULL DEFAULT 0",
)


def upgrade() -> None:
    op.execute(f"ALTER TABLE delivery.endpoints {', '.join(f'ADD COLUMN {one}' for one in _ENDPOINTS)}")
    # Warnings for operators about endpoints. A row stays until Processor has published it.
    op.execute(
        """
        CREATE TABLE delivery.notices (
            notice_id uuid PRIMARY KEY,
            sequence bigint GENERATED ALWAYS AS IDENTITY,
            endpoint_id uuid NOT NULL,
            content bytea NOT NULL
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE delivery.notices")
    names = (one.split()[0] for one in _ENDPOINTS)
    op.execute(f"ALTER TABLE delivery.endpoints {', '.join(f'DROP COLUMN {name}' for name in names)}")
